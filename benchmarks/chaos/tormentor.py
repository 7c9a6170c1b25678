"""Kills worker processes and the event sources at random, and sends messages a second time."""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import psutil

from flotilla.dynamo.event_log import from_item
from flotilla.events import fold
from flotilla.services.dispatch import message_for
from local.clients import client
from local.engine_process import engine_record
from local.event_sources_process import event_sources_record, start_event_sources
from local.instance import Instance, LocalInfo
from local.processes import Process
from local.progress import Progress

_BETWEEN_SECONDS = (0.4, 1.6)
_SOURCES_EVERY = 20
_GROWN_UP_SECONDS = 4.0


class Tormentor:
    """Torments a running instance while it is entered.

    Args:
        instance: The engine.
        info: Where it answers.
        seed: Of what is drawn.
        kill_sources: The event sources too. What they have in hand stays hidden for the lane's visibility timeout.
        between_seconds: The shortest and the longest time between two kills.

    Attributes:
        workers_killed: Worker processes that were killed.
        sources_killed: How often the event sources were.
        duplicates: Messages that were sent again.
        kills: When a worker was killed, in milliseconds since the epoch, and of which function it was.
    """

    def __init__(
        self,
        instance: Instance,
        info: LocalInfo,
        seed: int,
        *,
        kill_sources: bool = True,
        between_seconds: tuple[float, float] = _BETWEEN_SECONDS,
    ) -> None:
        self.workers_killed = 0
        self.sources_killed = 0
        self.duplicates = 0
        self.kills: list[tuple[int, str]] = []
        self._instance = instance
        self._info = info
        self._kill_sources = kill_sources
        self._between_seconds = between_seconds
        self._draw = random.Random(seed)
        self._targets: Sequence[str] = ()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tormentor")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave it in peace; the event sources run when this returns."""
        self._stopping.set()
        self._thread.join()

    def aim(self, task_ids: Sequence[str]) -> None:
        """Tasks whose messages may be sent again."""
        self._targets = list(task_ids)

    def _run(self) -> None:
        rounds = 0
        while not self._stopping.wait(self._draw.uniform(*self._between_seconds)):
            rounds += 1
            self._kill_a_worker()
            self._duplicate()
            if self._kill_sources and rounds % _SOURCES_EVERY == 0:
                self._kill_the_event_sources()

    def _kill_a_worker(self) -> None:
        engine = Process.load(engine_record(self._instance))
        if engine is None or not engine.is_alive():
            return
        workers = [(child, name) for child in psutil.Process(engine.pid).children() if (name := _worker_name(child))]
        if not workers:
            return
        worker, name = self._draw.choice(workers)
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
            self.workers_killed += 1
            self.kills.append((int(time.time() * 1000), name))  # noqa: TID251 - compared with the log's times

    def _kill_the_event_sources(self) -> None:
        sources = Process.load(event_sources_record(self._instance))
        if sources is not None and sources.is_alive():
            psutil.Process(sources.pid).kill()
            self.sources_killed += 1
        with Progress().step("the event sources were killed: start them again") as step:
            start_event_sources(self._instance, self._info.engine_url, step)

    def _duplicate(self) -> None:
        """Send the message of a task's present state again, past the queue's deduplication."""
        if not self._targets:
            return
        tables = client("dynamodb", self._info.engine_url)
        queues = client("sqs", self._info.engine_url)
        answer: dict[str, Any] = tables.query(
            TableName=self._info.outputs["EventsTable"],
            KeyConditionExpression="task_id = :task_id",
            ExpressionAttributeValues={":task_id": {"S": self._draw.choice(self._targets)}},
            ConsistentRead=True,
        )
        if not answer["Items"]:
            return
        message = message_for(fold(map(from_item, answer["Items"])))
        queues.send_message(
            QueueUrl=self._info.outputs[f"LaneQueue{message.lane.capitalize()}"],
            MessageBody=message.to_body(),
            MessageGroupId=message.group,
            MessageDeduplicationId=secrets.token_hex(8),
        )
        self.duplicates += 1


def _worker_name(process: psutil.Process) -> str | None:
    """The worker that the engine runs in it, if it has had the time to begin something.

    One that dies while it starts does nothing but hide its messages for the lane's visibility timeout.
    """
    try:
        age_seconds = time.time() - process.create_time()  # noqa: TID251 - the machine's own times
        name = process.environ().get("AWS_LAMBDA_FUNCTION_NAME", "")
    except psutil.Error:
        return None
    return name if age_seconds > _GROWN_UP_SECONDS and "-worker-" in name else None
