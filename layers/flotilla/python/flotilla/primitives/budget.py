"""A budget: what was spent, what is reserved for calls under way, and how much of either there may be.

    reserve ──────── call ──────── settle: what it really cost takes the place of what was reserved
       └ until_ms ──────────────── who reserved is gone: the call may have been made and charged, so what was
                                   reserved stays used, and is written off as spent in the end

Invariant: a call is let in only where what was spent and all that is reserved, this call included, is within the cap.
So a cap is exceeded only by what calls cost beyond what was reserved for them, whoever crashes when. All amounts are
whole millionths of a dollar.

Every change carries the id of its reservation and is refused where that says that it was made before: a repeated call
changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flotilla.primitives.token_bucket import SKEW_MS

FRUGAL_PERCENT = 80
"""From this part of a cap on, the cheaper way is to be preferred."""

WRITE_OFF_MS = 3_600_000
"""How long after its time a reservation can still be settled: by a process that could not reach the store, say."""

_WRITTEN_OFF_AT_ONCE = 20
"""One change names so many others at the most: a store's expressions are of limited length."""


class Level(StrEnum):
    """How a budget stands."""

    OK = "ok"
    FRUGAL = "frugal"


@dataclass(frozen=True, slots=True)
class Hold:
    """What is reserved under one id.

    Attributes:
        amount: In millionths of a dollar.
        until_ms: When the call is over at the latest.
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
    """Where at most `room` is used, the id holds nothing and what is written off is as seen: reserve.

    Attributes:
        id: Of the reservation.
        hold: What is reserved.
        room: The most that may be used before; None for no bound.
        written_off: Holds of who is long gone; from now on spent.
    """

    id: str
    hold: Hold
    room: int | None
    written_off: Mapping[str, Hold] = field(default_factory=dict)


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
        free_at_ms: When the first of the calls under way is over at the latest, where it is they that leave no room;
            None where too much is spent already.
    """

    free_at_ms: int | None


def plan_reserve(
    known: Account, cap: int | None, reservation: str, hold: Hold, now_ms: int, *, skew_ms: int = SKEW_MS
) -> Reserve | Reserved | Spent:
    """What to try, going by what was last seen of the budget. See `token_bucket.plan` for what to do where it fails."""
    if reservation in known.holds:
        return Reserved()
    ended_ms = now_ms - 2 * skew_ms
    if cap is not None and known.used + hold.amount > cap:
        under_way = [held for held in known.holds.values() if held.until_ms > ended_ms]
        surely = known.used - sum(held.amount for held in under_way)
        wait = under_way and surely + hold.amount <= cap
        return Spent(min(held.until_ms for held in under_way) + 2 * skew_ms if wait else None)
    long_gone = sorted(
        (held.until_ms, key) for key, held in known.holds.items() if held.until_ms <= ended_ms - WRITE_OFF_MS
    )
    written_off = {key: known.holds[key] for _, key in long_gone[:_WRITTEN_OFF_AT_ONCE]}
    return Reserve(reservation, hold, None if cap is None else cap - hold.amount, written_off)


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
    as_seen = all(account.holds.get(key) == held for key, held in change.written_off.items())
    return within and own is None and as_seen


def after(change: Change, account: Account) -> Account:
    """The budget once the change is done, given how it was."""
    holds = dict(account.holds)
    if isinstance(change, Settle):
        del holds[change.id]
        used = account.used - change.hold.amount + change.cost
        return Account(account.spent + change.cost, used, holds)
    for key in change.written_off:
        del holds[key]
    holds[change.id] = change.hold
    lost = sum(held.amount for held in change.written_off.values())
    return Account(account.spent + lost, account.used + change.hold.amount, holds)


def level(account: Account, cap: int | None) -> Level:
    """How a budget stands that allows a call."""
    if cap is None or account.used * 100 < cap * FRUGAL_PERCENT:
        return Level.OK
    return Level.FRUGAL


def micros_of(usd: float) -> int:
    """An amount as budgets count it, the nearest millionth of a dollar."""
    return round(usd * 1_000_000)
