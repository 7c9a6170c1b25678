"""What work may cost: reserved before each call, settled after, on every budget that the call counts against.

A call counts against its task, against every task above it and against its tenant's day, all of them or none: so what a
task hands on to others cannot cost more than it may itself. The budgets are written one after the other, the narrowest
first; one that refuses undoes those before it, and what a crash leaves reserved lapses. (A transaction over all of them
would cost twice as much, and be cancelled whenever two calls of one tenant meet.)

Failure policy: open, within bounds. While the store does not answer, a process lets calls through for a small part of
each cap, and puts what they cost down as soon as it does.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from flotilla.budget_ports import BudgetStore
from flotilla.clock import Clock
from flotilla.errors import BudgetExceededError, BudgetParkedError, RetryableError
from flotilla.primitives.budget import (
    Account,
    Change,
    Hold,
    Level,
    Reserved,
    Settle,
    Settled,
    Spent,
    after,
    level,
    plan_reserve,
    plan_settle,
)
from flotilla.primitives.parking import release_seconds
from flotilla.primitives.token_bucket import SKEW_MS

logger = logging.getLogger("flotilla.budgets")

_TRIES = 8
_PATIENCE_SECONDS = 1.0
_BLIND_MS = 1000
_BLIND_PERCENT = 5
_BLIND_WAIT_SECONDS = 30.0
_SHORTEST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 900.0
_RESERVED_WAIT_SECONDS = 15.0
_MOST_OWED = 1000
_KNOWN_SCOPES = 2000


@dataclass(frozen=True, slots=True)
class Scope:
    """A budget that a call counts against.

    Attributes:
        name: `task#<id>` or `tenant-day#<tenant>#<date>`.
        cap: In millionths of a dollar; None to count only.
        parks: What to do once it is spent: wait for its end, or refuse.
        ends_at_ms: When another takes its place, as a day does; None for never.
        kept_seconds: How long it is kept after its last change.
    """

    name: str
    cap: int | None
    parks: bool = False
    ends_at_ms: int | None = None
    kept_seconds: int = 40 * 86_400


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call may cost.

    Attributes:
        id: Given by the caller; the same for every try of the same call.
        hold: What is reserved, and until when.
        level: `frugal` where the call should take the cheaper way if there is one.
        scopes: The budgets that it counts against.
        blind: Names of those that did not answer.
    """

    id: str
    hold: Hold
    level: Level
    scopes: tuple[Scope, ...]
    blind: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Owed:
    """A call whose cost is not put down yet; where it is not even reserved, that comes first."""

    scope: Scope
    id: str
    hold: Hold
    cost: int
    unreserved: bool = False


class Budgets:
    """The budgets as one process keeps to them.

    Args:
        store: Where budgets are kept.
        clock: The machine's clock.
        random: Draws jitter.
        skew_ms: How wrong the fleet's clocks may be, either way.
    """

    def __init__(self, store: BudgetStore, clock: Clock, random: random.Random, *, skew_ms: int = SKEW_MS) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._skew_ms = skew_ms
        self._known: dict[str, Account] = {}
        self._blind_until_ms: int | None = None
        self._blindly: dict[str, int] = {}
        self._owed: deque[_Owed] = deque(maxlen=_MOST_OWED)

    async def reserve(
        self, reservation_id: str, scopes: Sequence[Scope], amount: int, lease_seconds: float
    ) -> Reservation:
        """Reserve what a call costs at most, on all budgets or on none. Made again with its id it is the same one.

        Args:
            reservation_id: Of the call; another one for every call.
            scopes: The budgets, the narrowest first.
            amount: In millionths of a dollar.
            lease_seconds: The longest that the call takes; after that a reservation that was not settled lapses.

        Raises:
            BudgetExceededError: A budget that refuses is spent.
            BudgetParkedError: A budget that parks is spent.
        """
        await self._pay_owed()
        hold = Hold(amount, self._clock.now_ms() + int(lease_seconds * 1000))
        stands = Level.OK
        blind: set[str] = set()
        held: list[Scope] = []
        try:
            for scope in scopes:
                found = await self._reserve(scope, reservation_id, hold)
                if found is None:
                    self._let_blindly(scope, amount)
                    blind.add(scope.name)
                    continue
                held.append(scope)
                stands = max(stands, found, key=list(Level).index)
        except (BudgetExceededError, BudgetParkedError):
            for scope in reversed(held):
                await self._settle(scope, reservation_id, hold, 0)
            raise
        return Reservation(reservation_id, hold, stands, tuple(scopes), frozenset(blind))

    async def commit(self, reservation: Reservation, cost: int) -> None:
        """Put what a call really cost in the place of what was reserved. Done again it changes nothing."""
        for scope in reservation.scopes:
            if scope.name in reservation.blind:
                self._owed.append(_Owed(scope, reservation.id, reservation.hold, cost, unreserved=True))
            else:
                await self._settle(scope, reservation.id, reservation.hold, cost)
        await self._pay_owed()

    async def release(self, reservation: Reservation) -> None:
        """Nothing was called after all."""
        for scope in reservation.scopes:
            if scope.name in reservation.blind:
                self._blindly[scope.name] = self._blindly.get(scope.name, 0) - reservation.hold.amount
            else:
                await self._settle(scope, reservation.id, reservation.hold, 0)

    async def _reserve(self, scope: Scope, reservation_id: str, hold: Hold) -> Level | None:
        """How the budget stands with the reservation; None where the store does not answer."""
        refused = False
        for _ in range(_TRIES):
            known = self._known.get(scope.name, Account())
            now_ms = self._clock.now_ms()
            planned = plan_reserve(known, scope.cap, reservation_id, hold, now_ms, skew_ms=self._skew_ms)
            if isinstance(planned, Reserved):
                return level(known, scope.cap)
            if isinstance(planned, Spent):
                if refused or scope.name not in self._known:
                    raise self._spent(scope, planned)
                # What was seen last may be long ago, and settled since: begun anew with what the store says now.
                del self._known[scope.name]
                refused = True
                continue
            if not await self._change(scope, planned):
                if self._is_blind():
                    return None
                continue
            return level(self._known[scope.name], scope.cap)
        raise BudgetParkedError(
            f"budget {scope.name} is in great demand",
            scope=scope.name,
            retry_after_seconds=release_seconds(_SHORTEST_WAIT_SECONDS, self._random.random()),
            code="budget_contended",
        )

    async def _settle(self, scope: Scope, reservation_id: str, hold: Hold, cost: int) -> None:
        if not await self._try_settle(scope, reservation_id, hold, cost):
            self._owed.append(_Owed(scope, reservation_id, hold, cost))

    async def _try_settle(self, scope: Scope, reservation_id: str, hold: Hold, cost: int) -> bool:
        """Whether it is settled; False where the store does not answer."""
        known = self._known.get(scope.name, Account())
        # What is known may be of before the reservation, or forgotten.
        planned: Settle | Settled = Settle(reservation_id, known.holds.get(reservation_id, hold), cost)
        for _ in range(_TRIES):
            if isinstance(planned, Settled) or await self._change(scope, planned):
                return True
            if self._is_blind():
                return False
            planned = plan_settle(self._known[scope.name], reservation_id, cost)
        return False

    async def _pay_owed(self) -> None:
        """Put down what calls cost while the store did not answer."""
        for _ in range(len(self._owed)):
            if self._is_blind() or not self._owed:
                return
            owed = self._owed.popleft()
            reserved = not owed.unreserved or await self._put_down(owed)
            if not reserved or not await self._try_settle(owed.scope, owed.id, owed.hold, owed.cost):
                self._owed.appendleft(owed)
                return

    async def _put_down(self, owed: _Owed) -> bool:
        """Reserve after the fact, whatever the cap says."""
        uncapped = Scope(owed.scope.name, None, kept_seconds=owed.scope.kept_seconds)
        if await self._reserve(uncapped, owed.id, owed.hold) is None:
            return False
        self._blindly.pop(owed.scope.name, None)
        return True

    async def _change(self, scope: Scope, change: Change) -> bool:
        """One write; where it was not done, what is known has changed, or the store does not answer."""
        if self._is_blind():
            return False
        expires_at = self._clock.now_ms() // 1000 + scope.kept_seconds
        try:
            answer = await asyncio.wait_for(self._store.change(scope.name, change, expires_at), _PATIENCE_SECONDS)
        except (RetryableError, TimeoutError) as error:
            if self._blind_until_ms is None:
                code = error.code if isinstance(error, RetryableError) else "budgets_slow"
                extra = {"protection": "budget", "scope": scope.name, "code": code}
                logger.warning("protection unavailable", extra=extra)
            self._blind_until_ms = self._clock.now_ms() + _BLIND_MS
            return False
        if self._blind_until_ms is not None:
            logger.info("protection available again", extra={"protection": "budget"})
        self._blind_until_ms = None
        self._known.pop(scope.name, None)
        self._known[scope.name] = after(change, answer.before) if answer.done else answer.before
        if len(self._known) > _KNOWN_SCOPES:
            del self._known[next(iter(self._known))]
        return answer.done

    def _let_blindly(self, scope: Scope, amount: int) -> None:
        if scope.cap is None:
            return
        so_far = self._blindly.get(scope.name, 0)
        if so_far + amount > scope.cap * _BLIND_PERCENT // 100 and so_far > 0:
            raise BudgetParkedError(
                f"budget {scope.name} does not answer",
                scope=scope.name,
                retry_after_seconds=release_seconds(_BLIND_WAIT_SECONDS, self._random.random()),
                code="budget_unavailable",
            )
        self._blindly[scope.name] = so_far + amount

    def _spent(self, scope: Scope, spent: Spent) -> BudgetExceededError | BudgetParkedError:
        message = f"budget {scope.name} is spent"
        if spent.free_at_ms is None and not scope.parks:
            return BudgetExceededError(message, scope=scope.name)
        now_ms = self._clock.now_ms()
        wait = _LONGEST_WAIT_SECONDS
        if spent.free_at_ms is not None:
            # It is all spoken for, not spent: most calls cost less than was reserved for them, and end long before.
            wait = min((spent.free_at_ms - now_ms) / 1000, _RESERVED_WAIT_SECONDS)
        elif scope.ends_at_ms is not None:
            wait = (scope.ends_at_ms - now_ms) / 1000
        seconds = release_seconds(max(_SHORTEST_WAIT_SECONDS, wait), self._random.random())
        return BudgetParkedError(message, scope=scope.name, retry_after_seconds=seconds)

    def _is_blind(self) -> bool:
        return self._blind_until_ms is not None and self._clock.now_ms() < self._blind_until_ms
