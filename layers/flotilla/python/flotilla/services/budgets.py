"""What work may cost: reserved before each call, settled after, on every budget that the call counts against.

A call counts against its task, against every task above it and against its tenant's day, all of them or none: so what a
task hands on to others cannot cost more than it may itself. The budgets are written one after the other, the narrowest
first; one that refuses undoes those before it. (A transaction over all of them would cost twice as much, and be
cancelled whenever two calls of one tenant meet.) What a crash leaves reserved counts as spent: the call may have been
made, and will be charged.

Failure policy: open, within bounds. A call whose answer is lost is made again: it tells what it had come to. While the
store does not answer at all, a process lets calls through for a small part of each cap, as far as it was not used when
it was last seen, and puts what they cost down as soon as it answers.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from flotilla.budget_ports import BudgetStore, Reservation, Scope
from flotilla.clock import Clock
from flotilla.errors import BudgetExceededError, BudgetParkedError, RetryableError
from flotilla.metric_ports import Metrics, NoMetrics
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

T = TypeVar("T")

logger = logging.getLogger("flotilla.budgets")

_TRIES = 8
_PATIENCE_SECONDS = 1.0
_FAILURES = 3
_FAILED_PAUSE_SECONDS = 0.05
"""After so many calls in a row that failed the store counts as down; before that each is made again."""

_BLIND_MS = 1000
_BLIND_PERCENT = 5
_BLIND_WAIT_SECONDS = 30.0
_SHORTEST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 3600.0
"""However long a budget still lasts: somebody may raise it meanwhile."""

_RESERVED_WAIT_SECONDS = 15.0
_MOST_OWED = 1000
_KNOWN_SCOPES = 2000


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
        patience_seconds: The store counts as down when an answer takes longer.
        metrics: Counts when the store does not answer.
    """

    def __init__(
        self,
        store: BudgetStore,
        clock: Clock,
        random: random.Random,
        *,
        skew_ms: int = SKEW_MS,
        patience_seconds: float = _PATIENCE_SECONDS,
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._skew_ms = skew_ms
        self._patience_seconds = patience_seconds
        self._metrics = metrics or NoMetrics()
        self._under_way: set[asyncio.Future[Any]] = set()
        self._known: dict[str, Account] = {}
        self._blind_until_ms: int | None = None
        self._failures = 0
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
            lease_seconds: The longest that the call takes. What is not settled an hour after that counts as spent.

        Raises:
            BudgetExceededError: A budget that refuses is spent.
            BudgetParkedError: A budget that parks is spent.
        """
        work = self._surely(self._reserve_all(reservation_id, scopes, amount, lease_seconds))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._surely(self._undo(work))
            raise

    async def commit(self, reservation: Reservation, cost: int) -> None:
        """Put what a call really cost in the place of what was reserved. Done again it changes nothing."""
        await asyncio.shield(self._surely(self._commit(reservation, cost)))

    async def release(self, reservation: Reservation) -> None:
        """Nothing was called after all."""
        await asyncio.shield(self._surely(self._release(reservation)))

    async def flush(self) -> None:
        """Finish what was begun: between two invocations a process stands still."""
        while self._under_way:
            await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._pay_owed()

    def _surely(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Have `work` done to its end, whatever becomes of who asked for it: a reservation must not be left behind."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _undo(self, work: asyncio.Future[Reservation]) -> None:
        try:
            reservation = await work
        except (BudgetExceededError, BudgetParkedError):
            return
        await self._release(reservation)

    async def _reserve_all(
        self, reservation_id: str, scopes: Sequence[Scope], amount: int, lease_seconds: float
    ) -> Reservation:
        await self._pay_owed()
        hold = Hold(amount, self._clock.now_ms() + int(lease_seconds * 1000))
        stands = Level.OK
        blind: set[str] = set()
        asked: list[Scope] = []
        try:
            for scope in scopes:
                found = await self._reserve(scope, reservation_id, hold)
                if found is None:
                    self._let_blindly(scope, amount)
                    blind.add(scope.name)
                asked.append(scope)
                stands = max(stands, found or Level.OK, key=list(Level).index)
        except (BudgetExceededError, BudgetParkedError):
            self._metrics.count("BudgetRefusals")
            await self._release(Reservation(reservation_id, hold, stands, tuple(reversed(asked)), frozenset(blind)))
            raise
        return Reservation(reservation_id, hold, stands, tuple(scopes), frozenset(blind))

    async def _commit(self, reservation: Reservation, cost: int) -> None:
        for scope in reservation.scopes:
            if scope.name in reservation.blind:
                self._owed.append(_Owed(scope, reservation.id, reservation.hold, cost, unreserved=True))
            else:
                await self._settle(scope, reservation.id, reservation.hold, cost)
        await self._pay_owed()

    async def _release(self, reservation: Reservation) -> None:
        for scope in reservation.scopes:
            if scope.name in reservation.blind:
                self._blindly[scope.name] = self._blindly.get(scope.name, 0) - reservation.hold.amount
                # It may be reserved there all the same: an answer may have been lost.
                self._owed.append(_Owed(scope, reservation.id, reservation.hold, 0))
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
                    raise self._spent(scope, planned, hold.amount)
                # What was seen last may be long ago, and settled since: begun anew with what the store says now.
                del self._known[scope.name]
                refused = True
                continue
            if not await self._change(scope, planned):
                if self._is_blind():
                    return None
                continue
            return level(self._known[scope.name], scope.cap)
        raise self._parked(scope, "is in great demand", _SHORTEST_WAIT_SECONDS, "budget_contended")

    async def _settle(self, scope: Scope, reservation_id: str, hold: Hold, cost: int) -> None:
        if not await self._try_settle(scope, reservation_id, hold, cost):
            self._owed.append(_Owed(scope, reservation_id, hold, cost))

    async def _try_settle(self, scope: Scope, reservation_id: str, hold: Hold, cost: int) -> bool:
        """Whether it is settled; False where the store does not answer."""
        known = self._known.get(scope.name, Account())
        # What is known may be of before the reservation, or forgotten.
        planned: Settle | Settled = Settle(reservation_id, known.holds.get(reservation_id, hold), cost)
        for _ in range(_TRIES):
            if isinstance(planned, Settled):
                return True
            match await self._change(scope, planned):
                case True:
                    return True
                case False:
                    planned = plan_settle(self._known[scope.name], reservation_id, cost)
                case None if self._is_blind():
                    return False
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

    async def _change(self, scope: Scope, change: Change) -> bool | None:
        """One write: whether it was done; None where nobody knows. Where it was not, what is known has changed."""
        if self._is_blind():
            return None
        expires_at = self._clock.now_ms() // 1000 + scope.kept_seconds
        try:
            work = self._store.change(scope.name, change, expires_at)
            answer = await asyncio.wait_for(work, self._patience_seconds)
        except (RetryableError, TimeoutError) as error:
            self._failures += 1
            if self._failures < _FAILURES and isinstance(error, RetryableError):
                await self._clock.sleep(_FAILED_PAUSE_SECONDS)
                return None
            if self._blind_until_ms is None:
                code = error.code if isinstance(error, RetryableError) else "budgets_slow"
                extra = {"protection": "budget", "scope": scope.name, "code": code}
                logger.warning("protection unavailable", extra=extra)
            self._metrics.count("ProtectionUnavailable", protection="budget")
            self._blind_until_ms = self._clock.now_ms() + _BLIND_MS
            return None
        if self._blind_until_ms is not None:
            logger.info("protection available again", extra={"protection": "budget"})
        self._blind_until_ms = None
        self._failures = 0
        self._known.pop(scope.name, None)
        self._known[scope.name] = after(change, answer.before) if answer.done else answer.before
        if len(self._known) > _KNOWN_SCOPES:
            del self._known[next(iter(self._known))]
        return answer.done

    def _let_blindly(self, scope: Scope, amount: int) -> None:
        if scope.cap is None:
            return
        so_far = self._blindly.get(scope.name, 0)
        last_seen = self._known.get(scope.name, Account()).used
        many = so_far > 0 and so_far + amount > scope.cap * _BLIND_PERCENT // 100
        if many or last_seen + so_far + amount > scope.cap:
            raise self._parked(scope, "does not answer", _BLIND_WAIT_SECONDS, "budget_unavailable")
        self._blindly[scope.name] = so_far + amount

    def _spent(self, scope: Scope, spent: Spent, amount: int) -> BudgetExceededError | BudgetParkedError:
        if scope.cap is not None and amount > scope.cap:
            message = f"a call that may cost {dollars(amount)} is more than {_named(scope)} allows in all"
            return BudgetExceededError(message, scope=scope.name, code="budget_too_small")
        if spent.free_at_ms is None and not scope.parks:
            return BudgetExceededError(f"{_named(scope)} is spent", scope=scope.name)
        now_ms = self._clock.now_ms()
        if spent.free_at_ms is not None:
            # It is all spoken for, not spent: most calls cost less than was reserved for them, and end long before.
            wait = min((spent.free_at_ms - now_ms) / 1000, _RESERVED_WAIT_SECONDS)
            return self._parked(scope, "is spoken for by calls under way", wait, "budget_reserved")
        wait = _LONGEST_WAIT_SECONDS
        if scope.ends_at_ms is not None:
            wait = min(wait, (scope.ends_at_ms - now_ms) / 1000)
        return self._parked(scope, "is spent", wait)

    def _parked(self, scope: Scope, why: str, wait_seconds: float, code: str | None = None) -> BudgetParkedError:
        seconds = release_seconds(max(_SHORTEST_WAIT_SECONDS, wait_seconds), self._random.random())
        return BudgetParkedError(f"{_named(scope)} {why}", scope=scope.name, retry_after_seconds=seconds, code=code)

    def _is_blind(self) -> bool:
        return self._blind_until_ms is not None and self._clock.now_ms() < self._blind_until_ms


def dollars(micros: int) -> str:
    """An amount as a person reads it, with all its digits and no more."""
    whole, rest = divmod(micros, 1_000_000)
    digits = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"${whole}.{digits}"


def _named(scope: Scope) -> str:
    """What a budget is called in errors, which the task's client reads."""
    kind, _, rest = scope.name.partition("#")
    whose = f"of task {rest}" if kind == "task" else f"of the tenant's day {rest.rpartition('#')[2]}"
    return f"the budget {whose}" + ("" if scope.cap is None else f" ({dollars(scope.cap)})")
