"""Workers that are broken on purpose, in one place each.

Each is made of the very services, with one decision taken otherwise.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flotilla.errors import AttemptRevokedError, RetryableError
from flotilla.events import Event, Kind, TaskState, chain
from flotilla.models import Delivery, Payload, Status, TaskMessage
from flotilla.services.attempt import AttemptRunner
from flotilla.services.attempt_tools import AttemptTools, Invocation
from flotilla.services.batch import BatchResult, BatchService, _Batch, _Item
from flotilla.services.callbacks import Ended, ended
from flotilla.services.claim import Claims
from flotilla.services.claimed import Claim, Claimed
from flotilla.services.ending import Endings
from flotilla.services.journal import Journal
from flotilla.services.outcome import Outcome
from flotilla.services.standing import standing_of_log
from flotilla.services.verdict import Verdict


class _Runner(AttemptRunner):
    def __init__(
        self, tools: AttemptTools, invocation: Invocation, claims: type[Claims], endings: type[Endings]
    ) -> None:
        super().__init__(tools, invocation)
        actor = f"worker:{invocation.worker}"
        self._claims = claims(log=tools.log, gate=tools.gate, clock=tools.clock, actor=actor)
        self._endings = endings(
            dispatch=tools.dispatch,
            turns=tools.turns,
            callbacks=tools.callbacks,
            clock=tools.clock,
            random=tools.random,
        )


class Rewired(BatchService):
    """A worker of parts that may be other than the system's own."""

    claims: type[Claims] = Claims
    endings: type[Endings] = Endings
    batches: type[_Batch] = _Batch

    async def run(self, deliveries: Sequence[Delivery], invocation: Invocation) -> BatchResult:
        batch = self.batches(self._tools, invocation)
        batch._runner = _Runner(self._tools, invocation, self.claims, self.endings)
        return await batch.run(deliveries)


class AcknowledgesFirst(BatchService):
    """Deletes the messages before their work is done."""

    async def run(self, deliveries: Sequence[Delivery], invocation: Invocation) -> BatchResult:
        await self._tools.receipts.delete(deliveries)
        return await super().run(deliveries, invocation)


class AcknowledgesAll(BatchService):
    """Reports what is to come back as done."""

    async def run(self, deliveries: Sequence[Delivery], invocation: Invocation) -> BatchResult:
        await super().run(deliveries, invocation)
        return BatchResult(done=list(deliveries))


class _IgnoresLeases(Claims):
    def _refusal(self, state: TaskState, head: Event, *, solo: bool) -> Claim | None:
        return super()._refusal(replace(state, lease_until_ms=state.lease_until_ms and 0), head, solo=solo)


class IgnoresLeases(Rewired):
    """Takes over from a worker that may still be alive."""

    claims = _IgnoresLeases


class _NeverTooEarly(Claims):
    def _too_early(self, now: TaskMessage, received: TaskMessage, *, parked: bool = False) -> Claim | None:
        return None


class NeverTooEarly(Rewired):
    """Starts a task whenever its message comes."""

    claims = _NeverTooEarly


class _Impatient(Claims):
    async def _waiting(self, state: TaskState, events: Sequence[Event], received: TaskMessage) -> Claim | None:
        body = {"for": state.waiting_for, "timed_out": True}
        await self._write(standing_of_log(state, events), received, Kind.RESUMED, body)
        return None


class Impatient(Rewired):
    """Takes any message of a task that waits for a signal as the end of its time."""

    claims = _Impatient


class _NeverTooLate(Claims):
    def _too_late(self, deadline_ms: int | None) -> bool:
        return False


class NeverTooLate(Rewired):
    """Does not know of deadlines."""

    claims = _NeverTooLate


class _ForgetsSteps(Claims):
    async def _start(self, message: TaskMessage, standing: Any, terms: Any) -> Claim | None:
        return await super()._start(message, replace(standing, steps={}), terms)


class ForgetsSteps(Rewired):
    """Runs every step of every attempt."""

    claims = _ForgetsSteps


class _DeafJournal(Journal):
    async def confirm(self) -> None:
        pass


class _Deaf(Claims):
    def _journal(self, task_id: str, standing: Any, attempt: int, lease_until: int) -> Journal:
        journal = super()._journal(task_id, standing, attempt, lease_until)
        return _like(_DeafJournal, journal)


class Deaf(Rewired):
    """Does not ask, while an agent runs, whether its task was cancelled."""

    claims = _Deaf


class _PushyJournal(Journal):
    async def append(self, kind: Kind, body: dict[str, Any], *, give_up_ms: int | None = None) -> Event:
        try:
            return await super().append(kind, body, give_up_ms=give_up_ms)
        except AttemptRevokedError:
            head = await self._log.head(self._task_id)
            if kind is not Kind.SUCCEEDED or head is None:
                raise
            event = chain(
                task_id=self._task_id,
                seq=head.seq + 1,
                kind=kind,
                at_ms=self._clock.now_ms(),
                actor=self._actor,
                attempt=self.attempt,
                body=body,
                prev_hash=head.hash,
            )
            if await self._log.append(event) is not None:
                raise
            return event


class _Pushy(Claims):
    def _journal(self, task_id: str, standing: Any, attempt: int, lease_until: int) -> Journal:
        return _like(_PushyJournal, super()._journal(task_id, standing, attempt, lease_until))


class Pushy(Rewired):
    """Commits a result wherever the log has got to, though the place it was for is taken."""

    claims = _Pushy


def _like(kind: type[Journal], journal: Journal) -> Journal:
    return kind(
        journal._log,
        journal._clock,
        task_id=journal._task_id,
        actor=journal._actor,
        attempt=journal.attempt,
        head_seq=journal._seq,
        head_hash=journal._hash,
        lease_until_ms=journal._lease_until_ms,
    )


class _Undercounts(Endings):
    async def fail(self, spec: Any, claimed: Claimed, failure: Verdict, *rest: Any) -> Outcome:
        return await super().fail(spec, replace(claimed, charged=max(0, claimed.charged - 1)), failure, *rest)


class Undercounts(Rewired):
    """Gives a task that fails one attempt too many."""

    endings = _Undercounts


class _ChargesParking(Endings):
    async def fail(self, spec: Any, claimed: Claimed, failure: Verdict, *rest: Any) -> Outcome:
        return await super().fail(spec, claimed, replace(failure, parked=False), *rest)


class ChargesParking(Rewired):
    """Counts it as a failure that what a task needs is not there."""

    endings = _ChargesParking


class _Mute(Endings):
    async def tell(self, end: Ended | None) -> None:
        with contextlib.suppress(RetryableError):
            await super().tell(end)


class Mute(Rewired):
    """Does not make sure that a workflow's state was told how its task ended."""

    endings = _Mute


class _Hasty(Endings):
    async def succeed(self, claimed: Claimed, output: dict[str, Any], *rest: Any) -> Outcome:
        await self.tell(ended(claimed.message, Status.SUCCEEDED, output=Payload.from_json(output)))
        return await super().succeed(claimed, output, *rest)


class Hasty(Rewired):
    """Tells a workflow's state of a result before the log has it."""

    endings = _Hasty


class _SkipsAhead(_Batch):
    async def _run_group(self, group: Sequence[_Item], *, solo: bool) -> Sequence[_Item]:
        alone: list[_Item] = []
        for item in group:
            alone += await super()._run_group([item], solo=solo)
        return alone


class SkipsAhead(Rewired):
    """Goes on with a session's next task while the one before it has to come back."""

    batches = _SkipsAhead
