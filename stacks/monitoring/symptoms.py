"""What a symptom is: when it is there, what it means, who is told, and what no data means for it.

Pure: it knows CloudWatch's terms and nothing of how alarms are deployed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stacks.monitoring.readings import Reading

MINUTE = 60
HOUR = 3600

Told = Literal["nobody", "informs", "pages"]
"""`nobody`: it is a part of another, which tells. What pages informs too: whoever is awake reads one list."""

NoData = Literal["notBreaching", "breaching"]
"""`notBreaching`: what counts troubles counts nothing when there are none, and then there is no data. `breaching`: what
tells that something runs is silent when it does not. CloudWatch's two others are not used: an alarm that keeps its
state without data would stay raised after its cause is gone, and one that has no state would have to be explained."""


@dataclass(frozen=True)
class Symptom:
    """One thing that is wrong when so many of so many periods in a row say so.

    Attributes:
        name: `<fleet>-<name>[-<of>]` is the alarm's.
        of: The lane, function, table, queue or workflow, where each has its own alarm.
        means: One sentence.
        runbook: Page and heading in `docs/operations/`.
        readings: What it is read from; a single one without an expression is compared itself.
        expression: In CloudWatch's metric math, of the readings' ids; 1 in a bad period and 0 in a good one.
        breaches: How a period's value compares to the threshold in a bad period.
        bad: So many bad periods …
        periods: … of so many.
        no_data: What a period without data is.
    """

    name: str
    means: str
    runbook: str
    readings: tuple[Reading, ...]
    period_seconds: int
    bad: int
    periods: int
    of: str = ""
    expression: str = ""
    breaches: Literal[">=", ">", "<"] = ">="
    threshold: float = 1
    no_data: NoData = "notBreaching"
    told: Told = "informs"

    @property
    def key(self) -> str:
        """Its name within the fleet."""
        return f"{self.name}-{self.of}" if self.of else self.name


@dataclass(frozen=True)
class Together:
    """Several symptoms that mean something together.

    Attributes:
        any_of: It is there when all of any of these are; each a symptom's key.
    """

    name: str
    means: str
    runbook: str
    any_of: tuple[tuple[str, ...], ...]
    of: str = ""
    told: Told = "informs"

    @property
    def key(self) -> str:
        """Its name within the fleet."""
        return f"{self.name}-{self.of}" if self.of else self.name
