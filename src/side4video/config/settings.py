"""Base class of all groups of settings, and the error for invalid ones."""

from pydantic import BaseModel, ConfigDict


class ConfigError(ValueError):
    """A recipe or config is invalid; the message lists the problems."""


class Settings(BaseModel):
    """A group of settings. Unknown names are errors, and values are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())
