"""The settings of canaries: small tasks by which every lane is tried from end to end."""

from __future__ import annotations

from pydantic import Field

from stacks.settings_section import Section

DEFAULT_EVERY_MINUTES = 5


class Canary(Section):
    """The function that tries the lanes.

    Attributes:
        every_minutes: How often; 0 for not at all, unless somebody invokes it.
    """

    every_minutes: int = Field(default=DEFAULT_EVERY_MINUTES, ge=0, le=60)
