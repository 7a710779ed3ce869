"""Base class of all groups of settings, and the error for invalid ones."""

from pydantic import BaseModel, ConfigDict


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
