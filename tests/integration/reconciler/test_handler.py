"""The reconciler on AWS in memory: what a run finds, sends and costs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest

from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.views import DynamoReadModel
from flotilla.events import GENESIS_HASH, Event, Kind, chain
from flotilla.models import TaskMessage
from flotilla.runtime import clients
from flotilla.runtime.settings import ReconcilerSettings
from flotilla.services.project import entry_of_log
from flotilla.services.reconcile import Reconciled
from flotilla.services.stuck import Look
from functions.reconciler.handler import ReconcilerFunction
from tests.aws_resources import make_table
from tests.fakes import run_on_thread
from tests.integration.conftest import LANES, STATE_MACHINES, FleetOnMoto
from tests.logs import BODIES
from tests.synthesis import Templates

MINUTE_MS = 60_000
INVOCATION_MS = 240_000


@dataclass
class Deployed:
    """The function, and the tasks that it looks after."""

    fleet: FleetOnMoto
    views_table: str

    def __post_init__(self) -> None:
        self.fleet.make_queue("ladder-1")
        urls = self.fleet.queue_urls
        lanes = {lane: {"queue_url": urls[lane], "dlq_url": urls[lane]} for lane in LANES}
        schedules = {"group": "fleet", "role_arn": "arn:aws:iam:::role/fleet", "target_arn": "arn:aws:sqs:::d.fifo"}
        self.function = ReconcilerFunction(
            ReconcilerSettings.from_environment(
                {
                    "FLOTILLA_NAME": "fleet",
                    "FLOTILLA_EVENTS_TABLE": self.fleet.events_table,
                    "FLOTILLA_VIEWS_TABLE": self.views_table,
                    "FLOTILLA_RETENTION_DAYS": "30",
                    "FLOTILLA_LANES": json.dumps(lanes),
                    "FLOTILLA_DELAYS": json.dumps({"1": {"queue_url": urls["ladder-1"], "queue_arn": "a"}}),
                    "FLOTILLA_SCHEDULES": json.dumps(schedules),
                    "FLOTILLA_CONTROL_TABLE": self.fleet.control_table,
                    "FLOTILLA_PAYLOADS_BUCKET": self.fleet.bucket,
                    "FLOTILLA_INLINE_PAYLOAD_BYTES": "2000",
                    "FLOTILLA_STATE_MACHINES": STATE_MACHINES,
                }
            )
        )
        self.log = DynamoEventLog(clients.dynamodb(), self.fleet.events_table, 30, run_on_thread)
        self.views = DynamoReadModel(clients.dynamodb(), self.views_table, run_on_thread)

    def task(self, task_id: str, age_ms: int, *kinds: Kind, projected: int | None = None, **accepted: Any) -> None:
        """A task that was accepted some time ago, and of which the read model knows some events, or all."""
        events: list[Event] = []
        for kind in (Kind.ACCEPTED, *kinds):
            event = chain(
                task_id=task_id,
                seq=len(events),
                kind=kind,
                at_ms=SystemClock().now_ms() - age_ms,
                actor="key:k1",
                attempt=0,
                body=BODIES[kind] | (accepted if kind is Kind.ACCEPTED else {}),
                prev_hash=events[-1].hash if events else GENESIS_HASH,
            )
            asyncio.run(self.log.append(event))
            events.append(event)
        asyncio.run(self.views.put(entry_of_log(events[:projected])))

    def run(self) -> Reconciled:
        self.fleet.calls.clear()
        return asyncio.run(self.function.run(INVOCATION_MS))

    def sent(self) -> list[str]:
        messages = [message for lane in LANES for message in self.fleet.messages(lane)]
        return sorted(TaskMessage.from_body(message["Body"]).task_id for message in messages)


@pytest.fixture
def deployed(fleet: FleetOnMoto, templates: Templates) -> Deployed:
    return Deployed(fleet, make_table(clients.dynamodb(), templates, "flotilla-views"))


def due_before(age_ms: int) -> int:
    return SystemClock().now_ms() - age_ms


def test_whoever_waits_for_a_message_that_will_not_come_gets_it(deployed: Deployed) -> None:
    deployed.task("tsk_queued", 12 * MINUTE_MS)
    deployed.task("tsk_due", 30 * MINUTE_MS, due_at_ms=due_before(3 * MINUTE_MS))
    deployed.task("tsk_on_its_way", 30 * MINUTE_MS, due_at_ms=due_before(MINUTE_MS))
    deployed.task("tsk_fresh", 2 * MINUTE_MS)
    deployed.task("tsk_done", 12 * MINUTE_MS, Kind.STARTED, Kind.SUCCEEDED)
    assert deployed.run().finished
    assert deployed.sent() == ["tsk_due", "tsk_queued"]
    assert deployed.run().looks == {}


def test_a_task_that_is_overdue_costs_a_read_a_message_and_a_note(deployed: Deployed) -> None:
    deployed.run()
    deployed.task("tsk_due", 30 * MINUTE_MS, due_at_ms=due_before(3 * MINUTE_MS))
    deployed.run()
    of_the_list_the_marks_and_the_circuits = 4 + 4 + 1
    assert sorted(deployed.fleet.calls) == sorted(
        ["Query"] * (of_the_list_the_marks_and_the_circuits + 1) + ["GetQueueAttributes", "SendMessage", "UpdateItem"]
    )


def test_a_run_with_nothing_to_do_is_nine_queries(deployed: Deployed) -> None:
    deployed.run()
    deployed.run()
    assert deployed.fleet.calls == ["Query"] * 9


def test_a_read_model_that_is_behind_is_brought_up_to_the_log(deployed: Deployed) -> None:
    due_at_ms = due_before(3 * MINUTE_MS)
    deployed.task("tsk_done", 30 * MINUTE_MS, Kind.STARTED, Kind.SUCCEEDED, projected=1, due_at_ms=due_at_ms)
    deployed.run()
    assert deployed.sent() == []
    assert deployed.run().looks == {}


def test_a_run_of_a_workflow_that_was_never_started_is_started(deployed: Deployed) -> None:
    machine = clients.stepfunctions().create_state_machine(
        name="fleet-analysis",
        definition='{"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 3600, "End": true}}}',
        roleArn="arn:aws:iam::123456789012:role/states",
    )
    run_id = "wfl_" + "0" * 32
    deployed.task(run_id, 12 * MINUTE_MS, agent="workflow:analysis")
    assert deployed.run().looks == {Look.ASKED: 1}
    (execution,) = clients.stepfunctions().list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    assert (execution["name"], deployed.sent()) == (f"{run_id}-0", [])


def test_a_run_without_time_begins_nothing(deployed: Deployed) -> None:
    deployed.task("tsk_due", 30 * MINUTE_MS, due_at_ms=due_before(3 * MINUTE_MS))
    assert not asyncio.run(deployed.function.run(remaining_ms=5_000)).finished
    assert deployed.sent() == []
