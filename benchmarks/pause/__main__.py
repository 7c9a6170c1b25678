"""How soon does a pause hold? From the answer to `PUT …/state` to the last start, and from resuming to the first.

Tasks keep coming on one lane while the agent, the lane and the fleet are paused and resumed in turn. What was started
is told by the tasks' own times. A worker asks for pauses at most once a second, so a start may be a second late for a
pause; what it meets then waits between 15 and 45 seconds before it looks again, so that a release is no stampede.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass, field

from benchmarks.fleet import client_of, epoch_ms, fleet, submit_many
from benchmarks.report import publish, table
from cli.client import FlotillaClient
from cli.operations import Operations, Scope, State
from local.instance import LocalInfo
from local.progress import Progress

_AGENT = "diagnostics.echo"
_LANE = "standard"
_NAMES: dict[Scope, str] = {"agent": _AGENT, "lane": _LANE, "fleet": ""}

_AT_ONCE = 5
_PACE_SECONDS = 0.25
_BEFORE_SECONDS = 2.0
_PAUSED_SECONDS = 5.0
_AFTER_SECONDS = 3.0
_GIVE_UP_SECONDS = 180.0

_AIM_MS = 2000.0


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What one pause came to, in milliseconds.

    Attributes:
        last_start: From the answer to the pause to the last start before the resumption; None where none came after.
        first_start: From the answer to the resumption to the first start after it.
        last_held: The same to the start of the last task that was held up.
        held: Tasks that were.
    """

    last_start: float | None
    first_start: float
    last_held: float
    held: int


@dataclass(slots=True)
class _Feed:
    """Tasks that keep coming until told to stop."""

    client: FlotillaClient
    task_ids: list[str] = field(default_factory=list)
    stopped: bool = False

    async def run(self) -> None:
        next_at = time.monotonic()
        while not self.stopped:
            tasks = [{"agent": _AGENT, "input": {"value": number}, "lane": _LANE} for number in range(_AT_ONCE)]
            self.task_ids += [task["id"] for task in await submit_many(self.client, tasks)]
            next_at += _PACE_SECONDS
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))


async def _set(operations: Operations, scope: Scope, state: State) -> float:
    """Set a state; the time at which it was answered."""
    await operations.set_state(scope, _NAMES[scope], state, "benchmark")
    return time.time_ns() / 1e6  # noqa: TID251 - compared with the tasks' times, as an operator's clock


async def _pause_once(client: FlotillaClient, scope: Scope) -> _Bounds:
    operations, feed = Operations(client), _Feed(client)
    feeding = asyncio.ensure_future(feed.run())
    try:
        await asyncio.sleep(_BEFORE_SECONDS)
        paused_ms = await _set(operations, scope, "paused")
        await asyncio.sleep(_PAUSED_SECONDS)
    finally:
        resumed_ms = await _set(operations, scope, "active")
    await asyncio.sleep(_AFTER_SECONDS)
    feed.stopped = True
    await feeding
    ended = [await client.wait(task_id, timeout_seconds=_GIVE_UP_SECONDS) for task_id in feed.task_ids]
    unfinished = [task["id"] for task in ended if task["status"] != "succeeded"]
    if unfinished:
        raise RuntimeError(f"{len(unfinished)} tasks did not succeed, of them {unfinished[0]}")
    times = [(epoch_ms(task["created_at"]), epoch_ms(task["started_at"])) for task in ended]
    while_paused = [started - paused_ms for _, started in times if paused_ms <= started < resumed_ms]
    after = [(created, started - resumed_ms) for created, started in times if started >= resumed_ms]
    held = [since_resumed for created, since_resumed in after if created < resumed_ms]
    return _Bounds(
        last_start=max(while_paused, default=None),
        first_start=min(since_resumed for _, since_resumed in after),
        last_held=max(held),
        held=len(held),
    )


async def _measure(info: LocalInfo, progress: Progress, rounds: int) -> dict[Scope, list[_Bounds]]:
    found: dict[Scope, list[_Bounds]] = {scope: [] for scope in _NAMES}
    async with client_of(info) as client:
        with progress.step("warm up"):
            warm = await submit_many(client, [{"agent": _AGENT, "input": {"value": 0}, "lane": _LANE}] * 50)
            for task in warm:
                await client.wait(task["id"], timeout_seconds=_GIVE_UP_SECONDS)
        for number in range(rounds):
            for scope, bounds in found.items():
                with progress.step(f"round {number + 1} of {rounds}: pause and resume, {scope}"):
                    bounds.append(await _pause_once(client, scope))
    return found


def _row(scope: str, bounds: list[_Bounds]) -> list[str]:
    return [
        scope,
        f"{_worst(bounds):.0f}",
        f"{max(each.first_start for each in bounds):.0f}",
        f"{max(each.last_held for each in bounds) / 1000:.1f}",
        str(sum(each.held for each in bounds)),
    ]


def _worst(bounds: list[_Bounds]) -> float:
    """The longest time to the last start; 0 where nothing started after a pause was answered."""
    return max(each.last_start or 0.0 for each in bounds)


def main() -> int:
    """Measure, print and keep the result; exit status 1 where a start came too late for a pause."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pause", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    progress = Progress()
    with fleet(progress) as (_, info):
        found = asyncio.run(_measure(info, progress, options.rounds))
    heading = [
        "paused",
        "pause to last start, ms",
        "resume to first start, ms",
        "resume to last held start, s",
        "tasks held",
    ]
    note = (
        f"The worst of {options.rounds} rounds each, {_AT_ONCE} tasks every {_PACE_SECONDS * 1000:.0f} ms; paused for "
        f"{_PAUSED_SECONDS:.0f} s. Every task succeeded. Aim: no start later than {_AIM_MS:.0f} ms after a pause."
    )
    rows = [_row(scope, bounds) for scope, bounds in found.items()]
    publish(__file__, "How soon a pause holds", f"{table(heading, rows)}\n\n{note}")
    return 0 if max(map(_worst, found.values())) <= _AIM_MS else 1


if __name__ == "__main__":
    sys.exit(main())
