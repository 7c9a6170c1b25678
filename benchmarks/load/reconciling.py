"""Holds a deployment to its word: what it accepted must have ended, once.

Costs little: the tasks are read a hundred to a call from the list, with the times that the fleet itself noted, rather
than polled one by one; what is missing there is asked for by itself. The logs of a sample are read event by event, and
the keys of a sample are sent again.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from benchmarks.load.histogram import Histogram
from benchmarks.load.open_loop import Sample
from benchmarks.load.submitting import ACCEPTED, Submitted, Submitting
from benchmarks.load.wire import NoAnswerError, Wire

ENDS = frozenset({"succeeded", "dead_lettered", "cancelled", "expired"})

_PAGE = 100
_AT_ONCE = 8
_WAIT_SECONDS = 20
_TRIES = 5


@dataclass
class Reconciled:
    """What became of all that was sent.

    Attributes:
        accepted: Idempotency keys that stand for a task.
        unknown: Submits that brought no answer, of which `found` had been accepted all the same.
        ends: Tasks by how they ended.
        lost: Accepted and not ended when patience was.
        doubled: Keys that stand for two tasks, tasks of two keys, and logs with more than one end.
        logs: Logs that were read event by event, of which in `again` an attempt was begun more than once.
        replays: Keys that were sent again.
        to_start: From accepted to started, by the fleet's own clocks.
        to_finish: From accepted to finished.
    """

    accepted: int = 0
    unknown: int = 0
    found: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    logs: int = 0
    again: int = 0
    replays: int = 0
    calls: int = 0
    to_start: Histogram = field(default_factory=Histogram)
    to_finish: Histogram = field(default_factory=Histogram)

    @property
    def kept(self) -> bool:
        """Nothing was lost or doubled."""
        return not self.lost and not self.doubled


class Reconciliation:
    """Reconciles one run.

    Args:
        wire: To the deployment.
        submitting: What sent the run's tasks.
        patience_seconds: How long tasks may take to end, from when the last was sent.
        seed: Chooses the samples.
    """

    def __init__(self, wire: Wire, submitting: Submitting, *, patience_seconds: float, seed: int) -> None:
        self._wire = wire
        self._submitting = submitting
        self._patience_seconds = patience_seconds
        self._random = random.Random(seed)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self, samples: Sequence[Sample[Submitted]], *, logs: int, replays: int) -> Reconciled:
        """Find out about all that was sent.

        Args:
            samples: What became of each submit.
            logs: How many logs are read event by event.
            replays: How many keys are sent again.
        """
        done = Reconciled()
        by_number = {sample.number: sample.outcome for sample in samples}
        by_number |= await self._settle_unknown(by_number, done)
        ids = {number: str(each.task["id"]) for number, each in by_number.items() if each.task is not None}
        done.accepted = len(ids)
        done.doubled += [
            f"one task of two keys: {task_id}" for task_id, times in Counter(ids.values()).items() if times > 1
        ]
        await self._ends(ids.values(), [each.task for each in by_number.values() if each.task is not None], done)
        await asyncio.gather(*(self._read_log(task_id, done) for task_id in self._some(ids.values(), logs)))
        await asyncio.gather(*(self._replay(number, ids, done) for number in self._some(ids, replays)))
        return done

    def _some(self, all_of_them: Iterable[Any], count: int) -> list[Any]:
        found = sorted(all_of_them)
        return found if len(found) <= count else self._random.sample(found, count)

    async def _settle_unknown(self, by_number: Mapping[int, Submitted], done: Reconciled) -> dict[int, Submitted]:
        """Send what was not answered again, with its key: it is accepted once, now or before."""
        open_numbers = [number for number, each in by_number.items() if each.unknown]
        done.unknown = len(open_numbers)

        async def settle(number: int) -> tuple[int, Submitted]:
            last = by_number[number]
            for _ in range(_TRIES):
                async with self._turns:
                    done.calls += 1
                    last = await self._submitting(number)
                if last.word == ACCEPTED:
                    done.found += last.replayed
                    break
                await asyncio.sleep(1)
            return number, last

        return dict(await asyncio.gather(*map(settle, open_numbers)))

    async def _ends(self, wanted: Iterable[str], answered: Sequence[Mapping[str, Any]], done: Reconciled) -> None:
        missing = set(wanted)
        if not missing:
            return
        give_up = time.monotonic() + self._patience_seconds
        # When the newest has ended most of the others have; until then a list would be read for nothing.
        newest = max(answered, key=lambda task: str(task["created_at"]))
        first = min(str(task["created_at"]) for task in answered)
        await self._ended(str(newest["id"]), give_up, done)
        async for task in self._listed(first, done):
            if task["id"] in missing and task["status"] in ENDS:
                missing.discard(task["id"])
                _note(task, done)

        async def ask(task_id: str) -> None:
            task = await self._ended(task_id, give_up, done)
            if task is None:
                done.lost.append(task_id)
            else:
                _note(task, done)

        await asyncio.gather(*map(ask, sorted(missing)))

    async def _ended(self, task_id: str, give_up: float, done: Reconciled) -> dict[str, Any] | None:
        """The task once it has ended; None if it had not when patience was over."""
        while True:
            left = give_up - time.monotonic()
            seconds = max(0, min(_WAIT_SECONDS, int(left)))
            task = await self._get(f"/v1/tasks/{task_id}", done, {"prefer": f"wait={seconds}"} if seconds else {})
            if task is not None and task.get("status") in ENDS:
                return dict(task)
            if left <= 0:
                return None
            if task is None:
                await asyncio.sleep(1)

    async def _listed(self, created_after: str, done: Reconciled) -> Any:
        cursor = ""
        while True:
            path = f"/v1/tasks?limit={_PAGE}&created_after={quote(created_after)}"
            page = await self._get(path + (f"&cursor={quote(cursor)}" if cursor else ""), done)
            for task in (page or {}).get("items", []):
                yield task
            cursor = (page or {}).get("next_cursor") or ""
            if not cursor:
                return

    async def _read_log(self, task_id: str, done: Reconciled) -> None:
        log = await self._get(f"/v1/tasks/{task_id}/events", done)
        if log is None:
            return
        done.logs += 1
        kinds = Counter(event["kind"] for event in log["items"])
        if sum(kinds[end] for end in ENDS) > 1:
            done.doubled.append(f"two ends in one log: {task_id}")
        done.again += kinds["started"] > 1

    async def _replay(self, number: int, ids: Mapping[int, str], done: Reconciled) -> None:
        async with self._turns:
            done.calls += 1
            again = await self._submitting(number)
        if again.task is None:
            return
        done.replays += 1
        if not again.replayed or again.task["id"] != ids[number]:
            done.doubled.append(f"two tasks of one key: {self._submitting.key(number)}")

    async def _get(
        self, path: str, done: Reconciled, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any] | None:
        for _ in range(_TRIES):
            async with self._turns:
                done.calls += 1
                try:
                    answer = await self._wire.request("GET", path, headers=headers)
                except NoAnswerError:
                    continue
            if answer.status == 200:
                found: dict[str, Any] = json.loads(answer.body)
                return found
            if answer.status == 404:
                return None
            await asyncio.sleep(1)
        return None


def _note(task: Mapping[str, Any], done: Reconciled) -> None:
    done.ends[str(task["status"])] += 1
    accepted = _ms(task["created_at"])
    if task.get("started_at"):
        done.to_start.record(_ms(task["started_at"]) - accepted)
    if task.get("finished_at"):
        done.to_finish.record(_ms(task["finished_at"]) - accepted)


def _ms(at: str) -> float:
    return datetime.fromisoformat(at).timestamp() * 1000
