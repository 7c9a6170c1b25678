"""The simulator's own ports keep the contracts of what they stand for, as long as nothing goes wrong.

Each call is made by a simulated process, and simulated time passes until it has its answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

import pytest

from flotilla.models import TaskMessage
from tests.contracts.archive import ArchiveContract
from tests.contracts.delays import TIERS, DelaysContract, MessagesIn
from tests.contracts.event_log import EventLogContract
from tests.contracts.lanes import LaneReceiptsContract, LanesContract, MessagesOn
from tests.contracts.session_turns import SessionTurnsContract
from tests.fakes.session_turns import MemorySessionTurns
from tests.simulation.faults import FaultPlan, Faults
from tests.simulation.fleet import SharedArchive, SharedLog
from tests.simulation.loop import Scheduler
from tests.simulation.ports import Delays, Lanes, Receipts, Store, Turns
from tests.simulation.processes import Process
from tests.simulation.queues import FifoQueue

LANES = ("critical", "standard", "batch")


class FromOutside:
    """A port of a simulated process, called by a test."""

    def __init__(self, process: Process, port: object) -> None:
        self._process = process
        self._port = port

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            work = self._process.spawn(getattr(self._port, name)(*args, **kwargs))
            self._process.scheduler.run(inf, work.done)
            return work.result()

        return call


@pytest.fixture
def process() -> Process:
    return Process("tested", Scheduler(), Faults(FaultPlan(), random.Random(1)), None)


def queue(name: str, delay_seconds: float = 0.0) -> FifoQueue:
    return FifoQueue(name, random.Random(1), visibility_seconds=60, delay_seconds=delay_seconds)


def taken(process: Process, found: FifoQueue) -> list[TaskMessage]:
    """What lies in a queue, taken out of it in the order it is handed out, due or not."""
    messages: list[TaskMessage] = []
    now = process.scheduler.now + 10_000
    while received := found.receive(now, 10):
        for message, delivery in received:
            found.delete(now, delivery.receipt_handle)
            messages.append(TaskMessage.from_body(message.body))
    return messages


class TestSimulatedLanes(LanesContract):
    @pytest.fixture
    def queues(self) -> dict[str, FifoQueue]:
        return {lane: queue(lane) for lane in LANES}

    @pytest.fixture
    def lanes(self, process: Process, queues: dict[str, FifoQueue]) -> Any:
        return FromOutside(process, Lanes(process, queues))

    @pytest.fixture
    def messages_on(self, process: Process, queues: dict[str, FifoQueue]) -> MessagesOn:
        return lambda lane: taken(process, queues[lane])


class TestSimulatedReceipts(LaneReceiptsContract):
    @pytest.fixture
    def receipts(self, process: Process) -> Any:
        receipts = Receipts(process, queue("standard"), queue("standard-dead"), lambda _queue, _message: None)
        return FromOutside(process, receipts)


class TestSimulatedDelays(DelaysContract):
    @pytest.fixture
    def tiers(self) -> dict[int, FifoQueue]:
        return {seconds: queue(f"delay-{seconds}", seconds) for seconds in TIERS}

    @pytest.fixture
    def delays(self, process: Process, tiers: dict[int, FifoQueue]) -> Any:
        return FromOutside(process, Delays(process, tiers))

    @pytest.fixture
    def messages_in(self, process: Process, tiers: dict[int, FifoQueue]) -> MessagesIn:
        def take(tier_seconds: int) -> list[TaskMessage]:
            # In no order: each task is a group of its own, and one task's messages are.
            return taken(process, tiers[tier_seconds])

        return take


class TestSimulatedTurns(SessionTurnsContract):
    @pytest.fixture
    def turns(self, process: Process) -> Any:
        return FromOutside(process, Turns(process, MemorySessionTurns()))


class TestSimulatedArchive(ArchiveContract):
    @pytest.fixture
    def archive(self, process: Process) -> Any:
        return FromOutside(process, Store(process, "archive", SharedArchive()))


class TestSimulatedLog(EventLogContract):
    test_what_is_read_can_be_changed_without_changing_the_log = None
    """It can not: readers share the events, and whoever changes them breaks the hash chain."""

    @pytest.fixture
    def log(self, process: Process) -> Any:
        return FromOutside(process, Store(process, "log", SharedLog()))
