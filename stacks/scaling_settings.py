"""`[scaler]` of `fleet.toml`, and the keys of lanes that say between what each is scaled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from pydantic import Field

from stacks.settings_section import Section

LEAST_CONCURRENCY = 2
"""The lowest maximum concurrency that AWS gives an event source mapping."""


class Scaler(Section):
    """The function that moves the lanes' concurrency with what waits on them.

    Attributes:
        enabled: It runs by itself; if not, each lane keeps its `maximum_concurrency`.
        every_minutes: How often it looks.
        raise_cooldown_seconds: Between two raises of a lane.
        lower_cooldown_seconds: How long a lane must have done with less, and been left as it is, before it is lowered.
        settle_seconds: From when a lane is lowered until others are given what it had: so long its mapping may take to
            know, and its last invocations to end.
    """

    enabled: bool = True
    every_minutes: int = Field(default=1, ge=1, le=60)
    raise_cooldown_seconds: int = Field(default=60, ge=0, le=86_400)
    lower_cooldown_seconds: int = Field(default=300, ge=0, le=86_400)
    settle_seconds: int = Field(default=30, ge=0, le=3600)


class ScaledLane(Protocol):
    """What of a lane's settings matters here."""

    @property
    def minimum_concurrency(self) -> int:
        """It never has less."""

    @property
    def maximum_concurrency(self) -> int:
        """Its own share."""

    @property
    def borrow_up_to(self) -> int:
        """The most it may have."""

    @property
    def provisioned_concurrency(self) -> int:
        """Environments that are kept warm."""


def kept_warm_or_least(lane: dict[str, Any]) -> int:
    """The default of `minimum_concurrency`: the least there is, or what is always kept warm."""
    return max(LEAST_CONCURRENCY, int(lane.get("provisioned_concurrency", 0)))


def own_share(lane: dict[str, Any]) -> int:
    """The default of `borrow_up_to`: a lane borrows nothing."""
    maximum: int = lane["maximum_concurrency"]
    return maximum


def mistakes(scaler: Scaler, lanes: Mapping[str, ScaledLane], pool: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with bounds that are each valid by themselves: the key, and what is allowed.

    Args:
        scaler: The section.
        lanes: By name.
        pool: What all lanes together may have reserved.
    """
    if scaler.settle_seconds >= 60 * scaler.every_minutes:
        yield (
            ("scaler", "settle_seconds"),
            (
                f"must be less than the {60 * scaler.every_minutes} seconds between two looks (every_minutes), not "
                f"{scaler.settle_seconds}: what a lane has lent would take longer than two to come back"
            ),
        )
    for name, lane in lanes.items():
        path = ("lanes", name)
        if lane.minimum_concurrency > lane.maximum_concurrency:
            yield (
                (*path, "minimum_concurrency"),
                (
                    f"must be at most maximum_concurrency ({lane.maximum_concurrency}), not "
                    f"{lane.minimum_concurrency}: between the two the lane is scaled"
                ),
            )
        if lane.provisioned_concurrency > lane.minimum_concurrency:
            yield (
                (*path, "provisioned_concurrency"),
                (
                    f"must be at most minimum_concurrency ({lane.minimum_concurrency}), not "
                    f"{lane.provisioned_concurrency}: what is paid for at all times may be used at all times"
                ),
            )
        if lane.borrow_up_to < lane.maximum_concurrency:
            yield (
                (*path, "borrow_up_to"),
                (
                    f"must be at least maximum_concurrency ({lane.maximum_concurrency}), not {lane.borrow_up_to}: "
                    "that much is its own and need not be borrowed"
                ),
            )
        elif lane.borrow_up_to > max(pool, lane.maximum_concurrency):
            yield (
                (*path, "borrow_up_to"),
                (
                    f"must be at most {pool}, not {lane.borrow_up_to}: all lanes together have no more "
                    "(runtime.account_concurrency less what Lambda keeps unreserved and the other functions reserve)"
                ),
            )
