"""Seeds of the simulator on the real engine: its workloads as tasks of the deployed fleet, whose workers are killed.

What a script does that the engine cannot be made to do in a minute is left out: hours of delay, pauses, redrives. What
is left (order, retries, crashes, delays, repeated submits) is judged by the log and by the effects in the world
outside, as `benchmarks.chaos` judges, on a fleet of its own with that benchmark's lanes: what a worker held that was
killed before it could say so stays hidden for six times the lane's timeout.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chaos.sink import Sink
from benchmarks.chaos.tally import judge, unfinished
from benchmarks.chaos.tormentor import Tormentor
from benchmarks.chaos.workload import LANES, Plan, Planned, submit_all
from cli.client import FlotillaClient
from cli.connection import Connection
from local.engine import down, up
from local.instance import REPOSITORY, Instance
from tests.e2e.engine import Engine
from tests.e2e.waiting import eventually
from tests.simulation import workload
from tests.simulation.workload import Submit

SEEDS = range(40)
LONGEST_DELAY_SECONDS = 16.0
MOST_FAILURES = 3
LEAST = 5
PATIENCE_SECONDS = 600.0
FLEET = REPOSITORY / "benchmarks" / "chaos" / "fleet.toml"

FAILURES = frozenset({"fail", "retry_after", "park", "bad_output", "permanent"})
CRASHES = frozenset({"crash", "block", "hang", "exit"})


@pytest.fixture
def tormented(tmp_path: Path) -> Iterator[Engine]:
    instance = Instance(root=tmp_path, port=0, config=FLEET, owner_pid=os.getpid())
    try:
        yield Engine(instance, up(instance))
    finally:
        down(instance)


def planned(seed: int, submit: Submit, url: str) -> Planned:
    moves = submit.moves[:-1]
    value: dict[str, object] = {"url": url}
    failures = sum(move in FAILURES for move in moves)
    if failures:
        value["fail_attempts"] = min(failures, MOST_FAILURES)
    elif CRASHES & set(moves):
        value |= {"crash_attempts": 1, "crash_when": "after_effect" if submit.steps else "before"}
    delay = submit.delay_seconds
    return Planned(
        key=f"seed-{seed}-{submit.number}",
        lane=LANES[(seed if submit.session else submit.number) % len(LANES)],
        input=value,
        session=f"seed-{seed}-{submit.tenant}-{submit.session}" if submit.session else None,
        delay_seconds=round(delay) if delay is not None and 1 <= delay <= LONGEST_DELAY_SECONDS else None,
        twice=submit.tries > 1 and submit.number % 3 == 0,
    )


def plan_of(seeds: range, url: str) -> Plan:
    plan = Plan()
    for seed in seeds:
        sessions: dict[str, list[Planned]] = {}
        for submit in workload.drawn(random.Random(seed)).tasks.values():
            task = planned(seed, submit, url)
            if task.session is None:
                plan.alone.append(task)
            else:
                sessions.setdefault(task.session, []).append(task)
        plan.sessions += sessions.values()
    return plan


def _wait_until(tormented: Engine, work: Plan, left: int) -> None:
    eventually(
        lambda: unfinished(tormented.info, work) <= left,
        f"the ends of all but {left} of {len(work.tasks)} tasks",
        seconds=PATIENCE_SECONDS,
        every=2.0,
    )


def test_seeds_of_the_simulator_keep_every_promise_on_the_engine(tormented: Engine) -> None:
    async def submit(work: Plan) -> int:
        connection = Connection(tormented.info.api_url, tormented.info.tenant_key, tormented.info.operator_key)
        async with FlotillaClient(connection, patience_seconds=60.0) as client:
            return await submit_all(client, work)

    with Sink() as sink:
        work = plan_of(SEEDS, sink.url)
        assert len(work.tasks) > 100
        assert sum(len(session) > 1 for session in work.sessions) > 5
        with Tormentor(tormented.instance, tormented.info, seed=1, kill_sources=False) as tormentor:
            replays = asyncio.run(submit(work))
            tormentor.aim([task.task_id for task in work.tasks if task.task_id is not None])
            _wait_until(tormented, work, left=len(work.tasks) // 10)
            # A worker that dies idle, or a message of a task that has ended, must do no harm either.
            eventually(
                lambda: min(tormentor.workers_killed, tormentor.duplicates) > LEAST, "enough torment", seconds=60.0
            )
        _wait_until(tormented, work, left=0)
        tally = judge(tormented.info, work, sink)
    assert tally.violations == []
    assert tally.effects == len(work.tasks)
    assert replays == sum(task.twice for task in work.tasks)
