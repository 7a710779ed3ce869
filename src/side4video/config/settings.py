"""Base class of all groups of settings, and the error for invalid ones."""

from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, field_serializer


class ConfigError(ValueError):
    """A recipe or config is invalid; the message lists the problems.

    Examples:
        >>> from side4video.config import load_config
        >>> try:
        ...     load_config("ssv2-b61")
        ... except ConfigError as error:
        ...     print(str(error)[:47])
        There is no recipe 'ssv2-b61' and no such file.
    """


class Settings(BaseModel):
    """A group of settings. Unknown names are errors, and values are read-only.

    Examples:
        >>> class Example(Settings):
        ...     epochs: int = 30
        >>> Example(epochs=5).epochs
        5
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=()
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            problems = [
                ".".join(map(str, problem["loc"])) + f" = {problem['input']!r:.200}: {problem['msg']}"
                if problem["loc"]
                else problem["msg"].removeprefix("Value error, ")
                for problem in error.errors()
            ]
            raise ConfigError("\n".join(problems)) from None

    # Files are validated by pydantic itself, which collects the errors of all groups; it would call another __init__.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @field_serializer("*", mode="wrap", when_used="json")
    def _write_paths_with_slashes(self, value: Any, write: SerializerFunctionWrapHandler) -> Any:
        """Paths in files have `/` on every system."""
        return value.as_posix() if isinstance(value, PurePath) else write(value)
