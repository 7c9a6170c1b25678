"""Limits on submits: by API key, by tenant, and by agent. Tokens are taken before anything is written.

A batch takes what it needs in one go. Where that is not there, its tasks are admitted in their order as far as each of
their limits reaches, and the others are refused.

Tokens are drawn as they are needed, one write for each limit, and none in advance: an environment of the API stands
still between two requests, and what it held would be missing to the client's next one, which another environment
answers. For the same reason nobody is given a place in a queue.

Where nothing is limited it costs a look at the limits set at run time each `limit_board.TTL_MS`, and what draws is not
even loaded.

Failure policy: open. See `LimitBoard` and `LimitBucket`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flotilla.errors import LimitedError, PermanentError
from flotilla.metric_ports import Metrics, NoMetrics
from flotilla.services.limit_board import LimitBoard

if TYPE_CHECKING:
    from flotilla.primitives.token_bucket import Limit
    from flotilla.services.limits import Admission, Limiter, Standing

Kind = Literal["client", "tenant", "agent"]

_TRIES = 4
"""Others may draw between a look at what is left and the draw; then less is tried for."""


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """How one of a submit's limits stands.

    Attributes:
        kind: Whose it is.
        limit: What it allows.
        remaining: Tokens left.
        reset_seconds: Until it is full again if nobody draws.
        more_seconds: Until there is one more token.
    """

    kind: Kind
    limit: Limit
    remaining: int
    reset_seconds: int
    more_seconds: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A task that is not accepted for now.

    Attributes:
        kind: Whose limit is used up.
        retry_after_seconds: When there may be room.
    """

    kind: Kind
    retry_after_seconds: float


class Admitted:
    """Which tasks of one call are admitted: all of them, where nothing is limited.

    Attributes:
        refused: Those that are not, by their position.
    """

    def __init__(self) -> None:
        self.refused: dict[int, Refused] = {}

    async def in_force(self) -> list[LimitInForce]:
        """The limits that the call came under, as they stand now."""
        return []

    async def give_back(self, positions: Iterable[int]) -> None:
        """Give back what these tasks took: they were there already, or nothing came of them."""


@dataclass(frozen=True, slots=True)
class _Of:
    """A limit that tasks of a call come under."""

    kind: Kind
    name: str
    declared: Limit | None
    each: str | None = None


class SubmitLimits:
    """Admits submits.

    Args:
        board: Limits set at run time.
        limiter: Makes (or returns) what draws, with `NO_PLACES`; asked for where there is something to limit.
        declared: Limits as declared: `client`, `tenant`, `agent#<name>`.
        metrics: Counts the tasks that are not admitted.
    """

    def __init__(
        self,
        board: LimitBoard,
        limiter: Callable[[], Limiter],
        declared: Mapping[str, Limit],
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or NoMetrics()
        self._board = board
        self._limiter = limiter
        self._declared = declared

    async def admit(self, client: str, tenant: str, agents: Sequence[str]) -> Admitted:
        """Take a token of every limit for each task. What some tasks cannot have, others of the call may.

        Args:
            client: Id of the API key.
            tenant: Whose key it is.
            agents: The agents of the tasks, one for each.
        """
        own = await self._in_force(
            _Of("client", f"client#{client}", self._declared.get("client"), "client"),
            _Of("tenant", f"tenant#{tenant}", self._declared.get("tenant"), "tenant"),
        )
        of_agents = {
            agent: await self._in_force(_Of("agent", name := f"agent#{agent}", self._declared.get(name)))
            for agent in dict.fromkeys(agents)
        }
        if not own and not any(of_agents.values()):
            return Admitted()
        call = _LimitedCall(self._limiter(), [[*own, *of_agents[agent]] for agent in agents])
        await call.draw()
        if call.refused:
            self._metrics.count("TasksRefused", len(call.refused))
        return call

    async def _in_force(self, *limits: _Of) -> list[_Of]:
        return [each for each in limits if await self._board.limit(each.name, each.declared, each.each) is not None]


class _LimitedCall(Admitted):
    """One call that comes under limits.

    Args:
        limiter: Draws.
        limits: Of each task.
    """

    def __init__(self, limiter: Limiter, limits: Sequence[Sequence[_Of]]) -> None:
        super().__init__()
        self._limiter = limiter
        self._limits = limits
        self._all = {of.name: of for of_task in limits for of in of_task}
        self._admission: Admission | None = None

    async def draw(self) -> None:
        """Take what is there for as many tasks as it is enough for."""
        short: dict[int, _Of] = {}
        for left in reversed(range(_TRIES)):
            # At first all that a full bucket is enough for: what is not there is refused for nothing if it is known.
            chosen, short = await self._within_reach(as_if_full=left == _TRIES - 1)
            refused = await self._draw_for(chosen)
            if refused is None:
                break
            if left == 0:
                # Somebody else was faster each time, or nobody knows what is left.
                self.refused = {position: refused for position in chosen if self._limits[position]}
        for position, of in short.items():
            now = await self._standing(of)
            self.refused[position] = Refused(of.kind, now.more_seconds if now is not None else 1)
        if self.refused:
            # What one limit gave before another refused is needed elsewhere, and this process may now stand still.
            await self._limiter.release(*self._all)

    async def in_force(self) -> list[LimitInForce]:
        """See `Admitted.in_force`."""
        found = [(each.kind, await self._standing(each)) for each in self._all.values()]
        return [
            LimitInForce(kind, now.limit, now.remaining, now.reset_seconds, now.more_seconds)
            for kind, now in found
            if now is not None
        ]

    async def give_back(self, positions: Iterable[int]) -> None:
        """See `Admitted.give_back`."""
        unused = Counter(each.name for position in positions for each in self._limits[position])
        if self._admission is None or not unused:
            return
        taken = self._admission.tokens
        await self._limiter.settle(self._admission, {name: taken[name] - unused[name] for name in taken})
        await self._limiter.release(*self._all)

    async def _within_reach(self, *, as_if_full: bool) -> tuple[list[int], dict[int, _Of]]:
        """The tasks that there are tokens for as far as is known, in order; and what the others are short of."""
        standings = {name: await self._standing(of) for name, of in self._all.items()}
        left = {
            name: now.limit.burst if as_if_full else now.remaining for name, now in standings.items() if now is not None
        }
        chosen, short = [], {}
        for position, limits in enumerate(self._limits):
            counted = [of for of in limits if of.name in left]
            lacking = next((of for of in counted if left[of.name] < 1), None)
            if lacking is not None:
                short[position] = lacking
                continue
            for of in counted:
                left[of.name] -= 1
            chosen.append(position)
        return chosen, short

    async def _draw_for(self, chosen: Sequence[int]) -> Refused | None:
        """Draw what these tasks take, all or nothing; what refused it."""
        from flotilla.services.limits import Ask

        tokens = Counter(each.name for position in chosen for each in self._limits[position])
        asks = [Ask(name, (of := self._all[name]).declared, count, of.each) for name, count in tokens.items()]
        try:
            self._admission = await self._limiter.acquire(*asks)
        except LimitedError as error:
            return Refused(self._all[error.limit].kind, error.retry_after_seconds)
        except PermanentError:
            return Refused(self._all[asks[0].name].kind, 1)  # a limit was lowered just now
        return None

    async def _standing(self, of: _Of) -> Standing | None:
        from flotilla.services.limits import Ask

        return await self._limiter.standing(Ask(of.name, of.declared, 1, of.each))
