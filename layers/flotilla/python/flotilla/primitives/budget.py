"""A budget: what was spent, what is reserved for calls under way, and how much of either there may be.

    reserve ──────── call ──────── settle: what it really cost takes the place of what was reserved
       └ until_ms ──────────────── lapse: who reserved is gone, and what it reserved is free again

Invariant: a call is let in only where what was spent and all that is reserved, this call included, is within the cap.
So a cap is exceeded only by what calls cost beyond what was reserved for them. All amounts are whole millionths of a
dollar.

Every change carries the id of its reservation and is refused where that says that it was made before: a repeated call
changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from flotilla.primitives.token_bucket import SKEW_MS

FRUGAL_PERCENT = 80
"""From this part of a cap on, the cheaper way is to be preferred."""

_REMEMBERED_MS = 3_600_000
"""How long after it lapsed a reservation is told from one that was settled."""


class Level(StrEnum):
    """How a budget stands."""

    OK = "ok"
    FRUGAL = "frugal"


@dataclass(frozen=True, slots=True)
class Hold:
    """What is reserved under one id.

    Attributes:
        amount: In millionths of a dollar; 0 once it has lapsed.
        until_ms: When it lapses.
    """

    amount: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Account:
    """A budget as it is stored.

    Attributes:
        spent: What settled calls cost.
        used: That and all that is reserved.
        holds: What is reserved, by id.
    """

    spent: int = 0
    used: int = 0
    holds: Mapping[str, Hold] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reserve:
    """Where at most `room` is used, the id holds nothing but `instead_of`, and the lapsed are as seen: reserve.

    Attributes:
        id: Of the reservation.
        hold: What is reserved.
        room: The most that may be used before; None for no bound.
        instead_of: What the id holds; None for nothing.
        lapsed: Holds that become free.
        forgotten: Ids that are remembered no longer.
    """

    id: str
    hold: Hold
    room: int | None
    instead_of: Hold | None = None
    lapsed: Mapping[str, Hold] = field(default_factory=dict)
    forgotten: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settle:
    """Where the id holds exactly this: let it go, and count what it cost."""

    id: str
    hold: Hold
    cost: int


Change = Reserve | Settle


@dataclass(frozen=True, slots=True)
class Reserved:
    """The id holds what it is to hold."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The id holds nothing."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The cap allows no more.

    Attributes:
        free_at_ms: When the first of what is reserved lapses at the latest; None where too much is spent already.
    """

    free_at_ms: int | None


def plan_reserve(
    known: Account, cap: int | None, reservation: str, hold: Hold, now_ms: int, *, skew_ms: int = SKEW_MS
) -> Reserve | Reserved | Spent:
    """What to try, going by what was last seen of the budget. See `token_bucket.plan` for what to do where it fails."""
    own = known.holds.get(reservation)
    if own is not None and own.amount > 0:
        return Reserved()
    ended_ms = now_ms - 2 * skew_ms
    lapsed = {key: held for key, held in known.holds.items() if held.amount > 0 and held.until_ms <= ended_ms}
    freed = sum(held.amount for held in lapsed.values())
    if cap is not None and known.used - freed + hold.amount > cap:
        ends = [held.until_ms for held in known.holds.values() if held.amount > 0]
        return Spent(min(ends) + 2 * skew_ms if ends and known.spent + hold.amount <= cap else None)
    forgotten = tuple(
        key
        for key, held in known.holds.items()
        if held.amount == 0 and held.until_ms <= ended_ms - _REMEMBERED_MS and key != reservation
    )
    room = None if cap is None else cap - hold.amount + freed
    return Reserve(reservation, hold, room, own, lapsed, forgotten)


def plan_settle(known: Account, reservation: str, cost: int) -> Settle | Settled:
    """What to try to settle a reservation that was made."""
    own = known.holds.get(reservation)
    return Settled() if own is None else Settle(reservation, own, cost)


def done(change: Change, account: Account) -> bool:
    """Whether the change's condition holds; what a store decides and writes in one go."""
    own = account.holds.get(change.id)
    if isinstance(change, Settle):
        return own == change.hold
    within = change.room is None or account.used <= change.room
    return (
        within
        and own == change.instead_of
        and all(account.holds.get(key) == held for key, held in change.lapsed.items())
    )


def after(change: Change, account: Account) -> Account:
    """The budget once the change is done, given how it was."""
    holds = dict(account.holds)
    if isinstance(change, Settle):
        del holds[change.id]
        used = account.used - change.hold.amount + change.cost
        return Account(account.spent + change.cost, used, holds)
    for key in change.forgotten:
        holds.pop(key, None)
    holds |= {key: replace(held, amount=0) for key, held in change.lapsed.items()}
    holds[change.id] = change.hold
    freed = sum(held.amount for held in change.lapsed.values())
    return Account(account.spent, account.used - freed + change.hold.amount, holds)


def level(account: Account, cap: int | None) -> Level:
    """How a budget stands that allows a call."""
    if cap is None or account.used * 100 < cap * FRUGAL_PERCENT:
        return Level.OK
    return Level.FRUGAL
