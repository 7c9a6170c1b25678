"""`[alarms]` and `[dashboards]` of `fleet.toml`: who is told of what, and what is deployed to see it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stacks.settings_section import Section

EmailAddress = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]


class Alarms(Section):
    """Who is told of alarms. When each is raised follows from the lanes' `objective_seconds`.

    Attributes:
        enabled: They are deployed. Each costs, whether anything happens or not.
        emails: Told of every alarm; each address confirms it once.
        pages: Told, besides, when somebody has to look at once.
    """

    enabled: bool = True
    emails: tuple[EmailAddress, ...] = Field(default=(), strict=False)
    pages: tuple[EmailAddress, ...] = Field(default=(), strict=False)


class Dashboards(Section):
    """CloudWatch dashboards.

    Attributes:
        enabled: They are deployed. Three of an account are free.
    """

    enabled: bool = True
