"""The base of every table of `fleet.toml`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One table of the file: frozen, with no unknown keys and no implicit conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
