"""What a load asks of one thing that has a limit, and whether that is there."""

from __future__ import annotations

from dataclasses import dataclass

from capacity.concurrency import HEADROOM
from capacity.quotas import Quota


@dataclass(frozen=True, slots=True)
class Demand:
    """One.

    Attributes:
        what: Has the limit.
        service: Of AWS.
        needed: By the load.
        available: As the fleet is set, or as AWS has it by default.
        unit: Of both.
        setting: The key of `fleet.toml` that says what is available; None where AWS does.
        quota: Of AWS, where that is the limit.
        remedy: What to do where it is not enough.
        value: What to set or to ask for; None where there is no such number.
        estimated: What is needed rests on times that were measured elsewhere: a sign, and no proof.
    """

    what: str
    service: str
    needed: float
    available: float
    unit: str
    setting: str | None
    quota: Quota | None
    remedy: str
    value: int | None = None
    estimated: bool = False

    @property
    def used(self) -> float:
        """Share of what is available."""
        return self.needed / self.available

    @property
    def verdict(self) -> str:
        """`fits`, `tight` (it waits longer than it must), `raise` (ask AWS for more) or `cannot`."""
        if self.used <= HEADROOM:
            return "fits"
        if self.used <= 1:
            return "tight"
        return "raise" if self.quota is not None and self.quota.adjustable and self.setting is None else "cannot"


def asked(needed: float) -> int:
    """A round number with headroom: two digits that say something."""
    return rounded(needed / HEADROOM)


def rounded(wanted: float) -> int:
    """The next number of two digits that say something."""
    wanted = max(wanted, 1.0)
    step = 10 ** max(len(str(int(wanted))) - 2, 0)
    return int(-(-wanted // step) * step)
