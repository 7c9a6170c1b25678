"""The models as one attempt sees them. What calls need is loaded when the first is made: most tasks make none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from flotilla.agents.catalog import AgentSpec
from flotilla.clock import Clock
from flotilla.models import TaskMessage
from flotilla.ports import RunSync
from flotilla.services.roster import Seat
from flotilla.services.supervision import Supervision

if TYPE_CHECKING:
    from flotilla.budget_ports import Spending
    from flotilla.llm.client import Llm
    from flotilla.llm.together import Ask
    from flotilla.llm.usage import UsageMeter
    from flotilla.services.models import ModelDesk, RouteCalls


class ModelsOfAttempt:
    """`Models` of a context, and what its attempt used of them.

    Args:
        desk: Makes (or returns) the process's desk; None where there are no models.
        spec: The attempt's agent.
        message: The task's message.
        attempt: Its number.
        seat: Its place in the invocation; None where it shares no calls with others.
        waits: How often the task was put aside before, at the cost of no attempt.
    """

    def __init__(
        self,
        desk: Callable[[], ModelDesk] | None,
        spec: AgentSpec,
        message: TaskMessage,
        attempt: int,
        seat: Seat | None = None,
        waits: int = 0,
    ) -> None:
        self._desk = desk
        self._seat = seat
        self._waits = waits
        self._spec = spec
        self._name = f"{message.task_id}/{attempt}"
        self._meter: UsageMeter | None = None

    def llm(
        self, ends_ms: int, supervision: Supervision, spending: Spending | None = None
    ) -> Callable[[RunSync], Llm] | None:
        """Makes the attempt's `ctx.llm`; None where there are no models.

        Args:
            ends_ms: When the attempt is stopped.
            supervision: Says whether it may go on.
            spending: Its budgets; None where there are none.
        """
        desk = self._desk
        if desk is None:
            return None

        def made(run_sync: RunSync) -> Llm:
            from flotilla.llm.client import Llm
            from flotilla.llm.usage import UsageMeter
            from flotilla.services.models import ModelCaller

            self._meter = self._meter or UsageMeter()
            caller = ModelCaller(
                name=self._name,
                agent=self._spec.name,
                ends_ms=ends_ms,
                supervisor=supervision,
                meter=self._meter,
                spending=spending,
                waits=self._waits,
            )
            calls = desk().calls(self._spec.routes, caller)
            together = None if self._seat is None else partial(self._together, self._seat, calls, desk().clock)
            return Llm(calls, run_sync, together)

        return made

    @staticmethod
    async def _together(seat: Seat, calls: RouteCalls, clock: Clock, ask: Ask[Any]) -> Any:
        from flotilla.services.micro_batching import MicroBatches

        batches = seat.roster.shared(MicroBatches, lambda: MicroBatches(clock, seat.roster))
        return await batches.generate(seat, calls, ask)

    def usage(self) -> dict[str, Any]:
        """What was used of models; empty where none answered."""
        return {} if self._meter is None else self._meter.to_json()
