"""Two real worker processes and one task: the one that was presumed dead cannot commit."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import uuid

from flotilla.agents.decorator import definition_of
from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.events import fold, verify_chain
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.submit import Submission, SubmitService
from local.instance import REPOSITORY
from tests.e2e import stale_worker
from tests.e2e.engine import Engine
from tests.fakes import MemoryLanes, MemoryPayloadStore, run_on_thread
from tests.fakes.assembly import dispatch_to
from tests.unit.services.fleet import run


def worker(engine: Engine, body: str, name: str, what: str) -> subprocess.Popen[str]:
    table = engine.info.outputs["EventsTable"]
    environment = os.environ | {
        "AWS_ENDPOINT_URL": engine.info.engine_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": engine.info.region,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "layers" / "flotilla" / "python")]),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.stale_worker", table, body, name, what],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_worker_whose_lease_was_taken_over_cannot_commit(engine: Engine) -> None:
    table = engine.info.outputs["EventsTable"]
    log = DynamoEventLog(engine.client("dynamodb"), table, 1, run_on_thread)
    lanes = MemoryLanes()
    definition = definition_of(stale_worker.stale)
    assert definition is not None
    submits = SubmitService(
        log=log,
        dispatch=dispatch_to(lanes, SystemClock()),
        claim_check=ClaimCheck(MemoryPayloadStore(), inline_bytes=10_000),
        clock=SystemClock(),
    )
    submission = Submission(
        tenant="demo",
        actor="key:test",
        request_id=uuid.uuid4().hex,
        agent=dataclasses.replace(definition.spec(), module=stale_worker.__name__),
        lane="standard",
        input={},
        request={},
    )
    task_id = run(submits.submit(submission)).state.task_id
    body = next(iter(lanes.sent.values())).to_body()

    first = worker(engine, body, "first", "halt")
    assert first.stdout is not None
    assert first.stdout.readline() == "claimed\n"
    second = worker(engine, body, "second", "go")
    said_by_second, _ = second.communicate(timeout=60)
    said_by_first, _ = first.communicate("go on\n", timeout=60)

    assert (said_by_second, said_by_first) == ("done\n", "left\n")
    events = run(log.read(task_id))
    verify_chain(events)
    assert [event.kind.value for event in events] == ["accepted", "started", "started", "succeeded"]
    state = fold(events)
    assert state.output is not None
    assert state.output.inline == "second"
