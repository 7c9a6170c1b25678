"""Contexts over a real journal and a log in memory, one for each attempt of one task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from flotilla.agents.context import Context
from flotilla.agents.session import Session
from flotilla.agents.steps import StepTaker
from flotilla.events import Kind, chain, fold
from flotilla.models import TaskMessage
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import message_for
from flotilla.services.journal import Journal
from flotilla.services.session_memory import SessionMemory
from flotilla.services.steps import RecordedSteps
from flotilla.services.supervision import SupervisedMemory, Supervision
from tests.fakes import ManualClock, MemoryEventLog, MemoryPayloadStore, run_on_thread
from tests.fakes.assembly import gate_to
from tests.fakes.pauses import MemoryPauses
from tests.fakes.session_turns import MemorySessionTurns
from tests.logs import BODIES, log_of

LEASE_SECONDS = 60


class StepsOfATask:
    """A task whose attempts take steps; what an attempt recorded the next one finds."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = MemoryEventLog()
        self.claim_check = ClaimCheck(MemoryPayloadStore(), inline_bytes=1000)
        self.attempts = 0
        accepted = log_of()[0]
        self.task_id = accepted.task_id
        self.log.logs[self.task_id] = {0: accepted}
        self.message: TaskMessage = message_for(fold([accepted]))
        self.pauses = MemoryPauses()
        self.turns = MemorySessionTurns()
        self.supervision: Supervision | None = None

    async def _context(self) -> Context:
        events = await self.log.read(self.task_id)
        head, state = events[-1], fold(events)
        self.attempts += 1
        started = chain(
            task_id=self.task_id,
            seq=head.seq + 1,
            kind=Kind.STARTED,
            at_ms=self.clock.now_ms(),
            actor="worker:w",
            attempt=self.attempts,
            body=BODIES[Kind.STARTED],
            prev_hash=head.hash,
        )
        assert await self.log.append(started) is None
        journal = Journal(
            self.log,
            self.clock,
            task_id=self.task_id,
            actor="worker:w",
            attempt=self.attempts,
            head_seq=started.seq,
            head_hash=started.hash,
            lease_until_ms=self.clock.now_ms() + LEASE_SECONDS * 1000,
        )
        gate = gate_to(self.log, self.claim_check, self.clock, self.pauses)
        supervision = Supervision(
            gate=gate, journal=journal, message=self.message, clock=self.clock, started_ms=self.clock.now_ms()
        )
        self.supervision = supervision
        recorded = RecordedSteps(journal, self.claim_check, "acme", self.task_id, state.steps, supervision)
        memory = SessionMemory(self.turns, self.claim_check, "acme", "s", self.task_id)
        return Context(
            self.message,
            attempt=self.attempts,
            ends_ms=self.clock.now_ms() + LEASE_SECONDS * 1000,
            steps=StepTaker(recorded, self.clock),
            session=Session(SupervisedMemory(memory, supervision)),
            clock=self.clock,
            run_sync=run_on_thread,
            logger=logging.getLogger("flotilla.test"),
        )

    def attempt(self, agent: Callable[[Context], Awaitable[Any]]) -> Any:
        """Run one attempt to its end."""

        async def run() -> Any:
            return await agent(await self._context())

        return asyncio.run(run())

    def kinds(self) -> list[str]:
        return [event.kind.value for _, event in sorted(self.log.logs[self.task_id].items())]
