"""Base class of all groups of settings, and the error for invalid ones."""

from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, field_serializer


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

    @field_serializer("*", mode="wrap", when_used="json")
    def _write_paths_with_slashes(self, value: Any, write: SerializerFunctionWrapHandler) -> Any:
        """Paths in files have `/` on every system."""
        return value.as_posix() if isinstance(value, PurePath) else write(value)
