"""What decides, before an attempt starts, whether it should: stopped runs first, then pauses, then identical work.

Invariant: of a task that is held here nothing has been run, and its attempts are untouched. The gate
writes nothing to the task's log; what it says is written, once, by who asked.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from flotilla.agents.catalog import AgentSpec
from flotilla.clock import Clock
from flotilla.coordination import Pause, PauseScope
from flotilla.models import Payload, TaskMessage
from flotilla.primitives.parking import look_again_seconds
from flotilla.services.pause_board import PauseBoard
from flotilla.services.single_flight import Answer, SingleFlight, Wait
from flotilla.services.standing import Parked

PAUSED = "paused"
SINGLE_FLIGHT = "single_flight"


@dataclass(frozen=True, slots=True)
class Open:
    """The attempt may start."""


@dataclass(frozen=True, slots=True)
class Held:
    """The task is held up.

    Attributes:
        reason: By what; of `parked` events.
        detail: The same for a person.
        after_seconds: When to look again.
    """

    reason: str
    detail: str
    after_seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """An identical task's result is this one's too.

    Attributes:
        output: The result, as this task's own.
    """

    output: Payload


@dataclass(frozen=True, slots=True)
class Stopped:
    """The workflow's run that the task belongs to was stopped: it will never start."""


class Gate:
    """Decides for the tasks of one process.

    Args:
        pauses: What is paused.
        flights: Which identical tasks there are.
        clock: Tells the time.
        random: Draws jitter.
    """

    def __init__(self, *, pauses: PauseBoard, flights: SingleFlight, clock: Clock, random: random.Random) -> None:
        self._pauses = pauses
        self._flights = flights
        self._clock = clock
        self._random = random

    async def decide(
        self, spec: AgentSpec, message: TaskMessage, parked: Parked | None
    ) -> Open | Held | Answered | Stopped:
        """Whether an attempt of the message's task may start.

        Args:
            spec: The task's agent.
            message: The task as its log stands.
            parked: What the task waits for already, if it does.

        Raises:
            RetryableError: A store that identical work is looked up in did not answer.
        """
        if message.workflow is not None and await self._pauses.stopped(message.workflow.run):
            return Stopped()
        held = await self.paused(message, parked)
        if held is not None:
            return held
        if spec.cache_ttl_seconds is None:
            return Open()
        match await self._flights.decide(spec, message, self._waited_ms(parked, SINGLE_FLIGHT)):
            case Answer(payload):
                return Answered(payload)
            case Wait(after_seconds, leader):
                return Held(SINGLE_FLIGHT, f"the identical task {leader} is under way", after_seconds)
            case _:
                return Open()

    async def paused(self, message: TaskMessage, parked: Parked | None = None) -> Held | None:
        """What holds the task up if an operator paused it, its lane or the fleet."""
        pause = await self._pauses.hold(message.lane, message.agent)
        if pause is None:
            return None
        wait = look_again_seconds(self._waited_ms(parked, PAUSED) / 1000, self._random.random())
        return Held(PAUSED, _name(pause), wait)

    def _waited_ms(self, parked: Parked | None, reason: str) -> int:
        return self._clock.now_ms() - parked.since_ms if parked is not None and parked.reason == reason else 0


def _name(pause: Pause) -> str:
    """What is paused. Not why: that is the operator's own note, and the log is the tenant's."""
    return "the fleet is paused" if pause.scope is PauseScope.FLEET else f"{pause.scope} {pause.name} is paused"
