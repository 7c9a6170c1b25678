"""What the receiver saw, counted: what was lost, what was done twice, how long it took to recover. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.fleet import percentile


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a task's.

    Attributes:
        key: The task's.
        arrived_ms: When it came; that is when its effect happened.
        answered_ms: When it was answered; None where whoever sent it was gone by then, or has no answer yet.
        cut_off: Whoever sent it was gone before it was answered.
    """

    key: str
    arrived_ms: float
    answered_ms: float | None
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Toll:
    """What a kill cost, or several.

    Attributes:
        tasks: How many were submitted.
        cut_off: How many were at work in what was killed.
        lost: How many were never done to the end.
        double: How many had their effect more than once.
        double_though_done: How many of those were not cut off: they were done to the end, and once more.
        recovered_seconds: From the kill until the last that was cut off had been done; None where one never was, or
            none was cut off.
        finished_seconds: From the kill until the last of all was done; None where one never was.
    """

    tasks: int
    cut_off: int
    lost: int
    double: int
    double_though_done: int
    recovered_seconds: float | None
    finished_seconds: float | None


def answered(requests: Iterable[Request], keys: Collection[str]) -> set[str]:
    """Those of the tasks that were done to the end at least once."""
    return {request.key for request in requests if request.answered_ms is not None} & set(keys)


def toll(requests: Iterable[Request], keys: Collection[str], killed_ms: float) -> Toll:
    """What a kill cost the tasks of these keys; requests of other tasks are left out."""
    of_key: dict[str, list[Request]] = {key: [] for key in keys}
    for request in requests:
        if request.key in of_key:
            of_key[request.key].append(request)
    done = {key: first for key, found in of_key.items() if (first := _first_answer(found)) is not None}
    cut_off = {key for key, found in of_key.items() if any(request.cut_off for request in found)}
    double = {key for key, found in of_key.items() if len(found) > 1}
    return Toll(
        tasks=len(of_key),
        cut_off=len(cut_off),
        lost=len(of_key) - len(done),
        double=len(double),
        double_though_done=len(double - cut_off),
        recovered_seconds=_seconds_until(cut_off, done, killed_ms),
        finished_seconds=_seconds_until(set(of_key), done, killed_ms),
    )


def total(tolls: Sequence[Toll]) -> Toll:
    """What several kills cost together; the times are the longest."""
    return Toll(
        tasks=sum(each.tasks for each in tolls),
        cut_off=sum(each.cut_off for each in tolls),
        lost=sum(each.lost for each in tolls),
        double=sum(each.double for each in tolls),
        double_though_done=sum(each.double_though_done for each in tolls),
        recovered_seconds=_longest([each.recovered_seconds for each in tolls if each.cut_off]),
        finished_seconds=_longest([each.finished_seconds for each in tolls]),
    )


def _longest(seconds: Sequence[float | None]) -> float | None:
    known = [each for each in seconds if each is not None]
    return max(known) if known and len(known) == len(seconds) else None


def _first_answer(found: Sequence[Request]) -> float | None:
    return min((request.answered_ms for request in found if request.answered_ms is not None), default=None)


def _seconds_until(keys: Collection[str], done: Mapping[str, float], killed_ms: float) -> float | None:
    if not keys or any(key not in done for key in keys):
        return None
    return max(0.0, max(done[key] for key in keys) - killed_ms) / 1000


def per_minute(tasks: int, began_ms: float, ended_ms: float) -> float:
    """Tasks a minute.

    Raises:
        ValueError: It ended no later than it began.
    """
    if ended_ms <= began_ms:
        raise ValueError("no time has passed")
    return tasks * 60_000 / (ended_ms - began_ms)


def middle_and_tail(values: Sequence[float]) -> tuple[float, float]:
    """p50 and p95, by nearest rank."""
    return percentile(values, 50), percentile(values, 95)
