"""What every group of settings has in common."""

from pydantic import BaseModel, ConfigDict


class ConfigError(ValueError):
    """A recipe or config that cannot be used; the message lists every problem."""


class Settings(BaseModel):
    """A group of settings: unknown names are refused, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())
