"""One round of canaries: what came of the last ones, and the next one for each lane.

    round of period k    read the canaries ──> count those decided in k-1 ──> submit that of k ──> count who refused

Invariant: a round that is done again submits nothing again. What fails on one lane is told and holds up no other, and
nothing is raised for a store that does not answer: canaries are there to find that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flotilla.agents.catalog import AgentSpec
from flotilla.canary_ports import FrontDoor, Readiness
from flotilla.clock import Clock
from flotilla.coordination import Pause, holding
from flotilla.errors import FlotillaError, RetryableError
from flotilla.metric_ports import Metrics
from flotilla.ports import Pauses
from flotilla.primitives.canary import CANARY_TENANT, CanaryPlan, canary_key
from flotilla.services.canaries import Canaries, Canary, CanaryEnd
from flotilla.services.submit import Submission, SubmitService

logger = logging.getLogger("flotilla.canary")

_ACTOR = "canary"


@dataclass(frozen=True, slots=True)
class LaneRound:
    """What a round did on one lane.

    Attributes:
        counted: Canaries whose end was counted.
        submitted: Id of the task that was asked for; None where there is none.
        held: Scope of the pause for which none was asked for.
        problem: What went wrong, in a word.
    """

    lane: str
    counted: Sequence[Canary] = ()
    submitted: str | None = None
    held: str | None = None
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For whoever invoked it."""
        counted = [
            {"task_id": each.task_id, "end": each.end.value, "latency_ms": each.latency_ms, "why": each.why}
            for each in self.counted
        ]
        return {"counted": counted, "submitted": self.submitted, "held": self.held, "problem": self.problem}


@dataclass(frozen=True, slots=True)
class Round:
    """What a round did.

    Attributes:
        readiness: What the API said; None where its address is not known.
    """

    lanes: Sequence[LaneRound]
    readiness: Readiness | None

    def to_json(self) -> dict[str, Any]:
        """For whoever invoked it."""
        ready = None if self.readiness is None else {"ready": self.readiness.ready, "why": self.readiness.why}
        return {"lanes": {each.lane: each.to_json() for each in self.lanes}, "api": ready}


class CanaryRounds:
    """Tries the lanes.

    Args:
        plan: How often, and how patiently.
        canaries: Knows what came of earlier ones.
        submit: Accepts tasks.
        agent: The canary's.
        pauses: What operators have paused.
        front_door: Says whether the API is ready; None where its address is not known.
        metrics: Where the ends are counted.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        plan: CanaryPlan,
        canaries: Canaries,
        submit: SubmitService,
        agent: AgentSpec,
        pauses: Pauses,
        front_door: FrontDoor | None,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._canaries = canaries
        self._submit = submit
        self._agent = agent
        self._pauses = pauses
        self._front_door = front_door
        self._metrics = metrics
        self._clock = clock

    async def run(self, at_ms: int, request_id: str) -> Round:
        """Do the round of the period of `at_ms`. Raises nothing for a store that does not answer.

        Args:
            at_ms: When it was due.
            request_id: Of this invocation.
        """
        pauses, readiness = await asyncio.gather(self._read_pauses(), self._readiness())
        lanes = await asyncio.gather(
            *(self._lane(lane, at_ms, request_id, pauses) for lane in self._plan.patience_seconds)
        )
        done = Round(lanes, readiness)
        logger.info("canaries", extra={"canaries": done.to_json()})
        return done

    async def _read_pauses(self) -> Sequence[Pause]:
        try:
            return await self._pauses.read()
        except RetryableError as error:
            # Nothing is taken for paused: what was in fact says so in its canary's log.
            logger.warning("pauses not known", extra={"error": error.message})
            return ()

    async def _readiness(self) -> Readiness | None:
        if self._front_door is None:
            return None
        found = await self._front_door.readiness()
        if not found.ready:
            # Counted only where it fails: a metric costs for as long as it has data.
            self._metrics.count("ReadinessFailed")
            logger.error("the API is not ready", extra={"down": list(found.down), "why": found.why})
        return found

    async def _lane(self, lane: str, at_ms: int, request_id: str, pauses: Sequence[Pause]) -> LaneRound:
        held = holding(pauses, lane=lane, agent=self._agent.name)
        counted: Sequence[Canary] = ()
        problem = None
        try:
            counted = await self._canaries.decided_before(lane, at_ms, paused=held is not None)
        except RetryableError as error:
            problem = "not_read"
            logger.warning("canaries not read", extra={"lane": lane, "error": error.message})
        for canary in counted:
            self._count(canary)
        if held is not None:
            return LaneRound(lane, counted, held=held.scope.value, problem=problem)
        try:
            accepted = await self._submit.submit(self._submission(lane, at_ms, request_id))
        except FlotillaError as error:
            self._metrics.count("CanaryFailed", lane=lane)
            logger.error("no canary accepted", extra={"lane": lane, "code": error.code, "error": error.message})
            return LaneRound(lane, counted, problem="not_accepted")
        return LaneRound(lane, counted, submitted=accepted.state.task_id, problem=problem)

    def _count(self, canary: Canary) -> None:
        extra = {"lane": canary.lane, "task_id": canary.task_id, "why": canary.why, "latency_ms": canary.latency_ms}
        if canary.end is CanaryEnd.SUCCEEDED and canary.latency_ms is not None:
            self._metrics.count("CanarySucceeded", lane=canary.lane)
            self._metrics.measure("CanaryLatency", canary.latency_ms, lane=canary.lane)
        elif canary.end is CanaryEnd.FAILED:
            self._metrics.count("CanaryFailed", lane=canary.lane)
            logger.error("canary failed", extra=extra)
        else:
            logger.info("canary held by a pause", extra=extra)

    def _submission(self, lane: str, at_ms: int, request_id: str) -> Submission:
        key = canary_key(lane, self._plan.period_of(at_ms))
        request = {"agent": self._agent.name, "input": {"value": key}, "lane": lane}
        return Submission(
            tenant=CANARY_TENANT,
            actor=_ACTOR,
            request_id=f"{request_id}/{lane}",
            agent=self._agent,
            lane=lane,
            input=request["input"],
            request=request,
            idempotency_key=key,
            # What no worker took in its time is closed by the first that looks, and not run: they do not pile up.
            deadline_ms=self._clock.now_ms() + self._plan.patience_ms(lane),
        )
