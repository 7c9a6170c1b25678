"""The durable steps of one attempt: found where an earlier attempt recorded them, recorded once else."""

from __future__ import annotations

from typing import Any

from flotilla.events import Kind
from flotilla.models import Payload
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.journal import Journal
from flotilla.services.supervision import Supervision


class RecordedSteps:
    """`StepJournal` over an attempt's journal.

    Args:
        journal: The attempt's journal.
        claim_check: Moves large results out of the log.
        tenant: Whose task it is.
        task_id: The task.
        steps: What earlier attempts recorded.
        supervision: Says whether the attempt may go on.
    """

    def __init__(
        self,
        journal: Journal,
        claim_check: ClaimCheck,
        tenant: str,
        task_id: str,
        steps: dict[str, Payload],
        supervision: Supervision,
    ) -> None:
        self._journal = journal
        self._claim_check = claim_check
        self._tenant = tenant
        self._task_id = task_id
        self._steps = dict(steps)
        self._supervision = supervision

    async def recorded(self, step: str) -> Payload | None:
        """See `StepJournal.recorded`."""
        self._supervision.running()
        return self._steps.get(step)

    async def may_run(self) -> None:
        """See `StepJournal.may_run`."""
        await self._supervision.go_on()

    async def record(self, step: str, value: Any, duration_ms: int) -> None:
        """See `StepJournal.record`."""
        self._supervision.running()
        payload = await self._claim_check.check_in(self._tenant, self._task_id, value)
        self._supervision.running()
        await self._journal.append(
            Kind.STEP_RECORDED, {"step": step, "result": payload.to_json(), "duration_ms": duration_ms}
        )
        self._steps[step] = payload

    async def value_of(self, payload: Payload) -> Any:
        """See `StepJournal.value_of`."""
        return await self._claim_check.check_out(payload)
