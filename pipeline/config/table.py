"""Define what all tables of a config have in common: their keys are known, typed strictly and do not change."""

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)
