"""Runs of workflows through the functions as they are deployed: the API, the recorder, the broadcaster, on moto."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from flotilla.clock import SystemClock
from flotilla.coordination import PauseScope
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.pauses import DynamoPauses
from flotilla.dynamo.views import DynamoReadModel
from flotilla.errors import StoreUnavailableError
from flotilla.events import GENESIS_HASH, Event, Kind, chain
from flotilla.models import WorkflowStep
from flotilla.runtime import clients
from flotilla.runtime.settings import ApiSettings, BroadcasterSettings, RecorderSettings
from flotilla.services.project import entry_of_log
from flotilla.workflow_ports import ExecutionStatus
from functions.api.application import Application
from functions.api.handler import respond, routes
from functions.broadcaster.handler import BroadcasterFunction
from functions.recorder.handler import RecorderFunction, execution_in
from tests.fakes import run_on_thread
from tests.gateway_events import Answer, InvocationContext, http_event, identity
from tests.integration.conftest import STATE_MACHINES, FleetOnMoto
from tests.logs import BODIES
from tests.unit.api.api import CATALOG, WORKFLOWS
from tests.unit.test_stream_records import record_of

NEVER_ENDS = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 3600, "End": True}}})
ROLE = "arn:aws:iam::123456789012:role/states"


class Deployed:
    """The functions, and a state machine for each workflow."""

    def __init__(self, fleet: FleetOnMoto) -> None:
        self.fleet = fleet
        for name in WORKFLOWS:
            clients.stepfunctions().create_state_machine(name=f"fleet-{name}", definition=NEVER_ENDS, roleArn=ROLE)
        self.queue = clients.sqs().create_queue(QueueName="fleet-webhooks")["QueueUrl"]
        told: dict[str, Any] = {"transitions": [], "event_bus": None, "topic_arn": None}
        environment = fleet.environment() | {
            "FLOTILLA_BROADCAST": json.dumps(told),
            "FLOTILLA_WEBHOOKS_QUEUE_URL": self.queue,
        }
        router = routes(ApiSettings.from_environment(environment), CATALOG, workflows=WORKFLOWS)
        self._application = Application(lambda: router, SystemClock())
        self.recorder = RecorderFunction(RecorderSettings.from_environment(environment))
        self.broadcaster = BroadcasterFunction(BroadcasterSettings.from_environment(environment))
        self.log = DynamoEventLog(clients.dynamodb(), fleet.events_table, 30, run_on_thread)
        self.views = DynamoReadModel(clients.dynamodb(), fleet.views_table, run_on_thread)
        clients.stepfunctions().meta.events.register("before-call", fleet._count)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        options.setdefault("authorizer", identity())
        event = http_event(method, path, body, **options)
        return Answer.of(respond(self._application, event, cast(LambdaContext, InvocationContext())))

    def started(self, value: Any = None, workflow: str = "analysis", **headers: str) -> str:
        answer = self.call("POST", f"/v1/workflows/{workflow}", {"input": value}, headers=headers)
        assert answer.status == 202, answer.text
        return str(answer.json()["id"])

    def events(self, task_id: str) -> list[Event]:
        return asyncio.run(self.log.read(task_id))

    def task(self, run_id: str, task_id: str) -> None:
        """A task that a state asked for, and that runs; the read model knows it."""
        step = WorkflowStep(run_id, "Extract", "token").to_json()
        accepted = self._event(None, task_id, Kind.ACCEPTED, {"workflow": step, "parent": run_id})
        started = self._event(accepted, task_id, Kind.STARTED, {})
        asyncio.run(self.views.put(entry_of_log([accepted, started])))

    def _event(self, head: Event | None, task_id: str, kind: Kind, body: dict[str, Any]) -> Event:
        event = chain(
            task_id=task_id,
            seq=0 if head is None else head.seq + 1,
            kind=kind,
            at_ms=SystemClock().now_ms(),
            actor="worker:w/1",
            attempt=0 if head is None else 1,
            body=BODIES[kind] | body,
            prev_hash=GENESIS_HASH if head is None else head.hash,
        )
        assert asyncio.run(self.log.append(event)) is None
        return event

    def tell(self, *events: Event) -> list[str]:
        answer = asyncio.run(self.broadcaster.answer({"Records": [record_of(event) for event in events]}))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def execution(self, run_id: str, seq: int = 0) -> dict[str, Any]:
        arn = f"{STATE_MACHINES.replace(':stateMachine:', ':execution:')}analysis:{run_id}-{seq}"
        return dict(clients.stepfunctions().describe_execution(executionArn=arn))


@pytest.fixture
def deployed(fleet: FleetOnMoto) -> Deployed:
    return Deployed(fleet)


def news(run_id: str, status: str, **detail: Any) -> dict[str, Any]:
    """What EventBridge hands over."""
    machine = f"{STATE_MACHINES}analysis"
    return {
        "id": "event-1",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "detail": {
            "executionArn": f"{machine.replace(':stateMachine:', ':execution:')}:{run_id}-0",
            "stateMachineArn": machine,
            "name": f"{run_id}-0",
            "status": status,
            "input": "{}",
            "inputDetails": {"included": True},
            **detail,
        },
    }


def test_a_start_is_an_event_a_read_and_an_execution_and_no_other_call(fleet: FleetOnMoto, deployed: Deployed) -> None:
    deployed.started()  # a process looks for limits that operators set with its first, now and then
    fleet.calls.clear()
    run_id = deployed.started({"n": 1})
    assert fleet.calls == ["PutItem", "Query", "StartExecution"]
    execution = deployed.execution(run_id)
    assert execution["status"] == "RUNNING"
    document = json.loads(execution["input"])
    assert (document["input"], document["workflow"]["run"]) == ({"n": 1}, run_id)


def test_a_repeated_start_is_the_same_execution(deployed: Deployed) -> None:
    first = deployed.started({"text": "x" * 5000}, **{"idempotency-key": "k"})
    again = deployed.call(
        "POST", "/v1/workflows/analysis", {"input": {"text": "x" * 5000}}, headers={"idempotency-key": "k"}
    )
    assert (again.json()["id"], again.headers["idempotent-replay"]) == (first, "true")
    found = clients.stepfunctions().list_executions(stateMachineArn=f"{STATE_MACHINES}analysis")["executions"]
    assert [execution["name"] for execution in found] == [f"{first}-0"]


def test_a_look_at_a_run_is_three_queries(fleet: FleetOnMoto, deployed: Deployed) -> None:
    run_id = deployed.started({"seconds": 1}, workflow="nap")
    fleet.calls.clear()
    assert deployed.call("GET", f"/v1/workflows/{run_id}").json()["steps"][0]["status"] == "pending"
    assert fleet.calls == ["Query", "Query"], "its log, and its tasks"
    deployed.task(run_id, "tsk_1")
    fleet.calls.clear()
    run = deployed.call("GET", f"/v1/workflows/{run_id}").json()
    assert [(step["name"], step["status"]) for step in run["steps"]] == [("Sleep", "pending"), ("Extract", "running")]
    assert fleet.calls == ["Query"] * 3, "and the log of what runs"


def test_an_end_is_recorded_once(fleet: FleetOnMoto, deployed: Deployed) -> None:
    run_id = deployed.started()
    fleet.calls.clear()
    told = news(run_id, "SUCCEEDED", output='{"done": 1}', outputDetails={"included": True})
    assert asyncio.run(deployed.recorder.record(told))
    assert fleet.calls == ["Query", "PutItem"]
    assert not asyncio.run(deployed.recorder.record(told))
    run = deployed.call("GET", f"/v1/workflows/{run_id}").json()
    assert (run["status"], run["output"]) == ("succeeded", {"done": 1})


def test_where_the_news_say_too_little_step_functions_is_asked_and_believed(deployed: Deployed) -> None:
    run_id = deployed.started()
    clients.stepfunctions().stop_execution(executionArn=deployed.execution(run_id)["executionArn"])
    assert asyncio.run(deployed.recorder.record(news(run_id, "FAILED", error=None)))
    assert deployed.events(run_id)[-1].kind is Kind.CANCELLED


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"detail": None},
        {"detail": []},
        {"detail": {"stateMachineArn": f"{STATE_MACHINES}analysis", "name": "x"}},
        {"detail": {"stateMachineArn": f"{STATE_MACHINES}analysis", "name": "x", "status": "PENDING_REDRIVE"}},
        {"detail": {"stateMachineArn": "arn:aws:states:::stateMachine:other", "name": "x", "status": "FAILED"}},
    ],
)
def test_what_is_no_news_is_dropped(deployed: Deployed, event: dict[str, Any]) -> None:
    assert execution_in(event, STATE_MACHINES) is None
    assert not asyncio.run(deployed.recorder.record(event))


def test_news_of_a_maps_own_executions_end_nothing(deployed: Deployed) -> None:
    run_id = deployed.started()
    child = news(run_id, "SUCCEEDED", stateMachineArn=f"{STATE_MACHINES}analysis/Documents", output="1")
    assert not asyncio.run(deployed.recorder.record(child))
    found = execution_in(news(run_id, "TIMED_OUT", error=5), STATE_MACHINES)
    assert found is not None
    assert (found.workflow, found.name, found.status, found.error) == (
        "analysis",
        f"{run_id}-0",
        ExecutionStatus.TIMED_OUT,
        None,
    )


def test_an_end_that_cannot_be_recorded_comes_again(fleet: FleetOnMoto, deployed: Deployed) -> None:
    run_id = deployed.started()
    clients.dynamodb().delete_table(TableName=fleet.events_table)
    with pytest.raises(StoreUnavailableError):
        asyncio.run(deployed.recorder.record(news(run_id, "SUCCEEDED", output="1")))


def test_a_cancelled_run_is_stopped_with_its_tasks(deployed: Deployed) -> None:
    run_id = deployed.started()
    deployed.task(run_id, "tsk_1")
    assert deployed.call("POST", f"/v1/workflows/{run_id}/cancel").json()["cancelled"]
    for _ in range(2):
        assert deployed.tell(*deployed.events(run_id)) == []
    assert deployed.execution(run_id)["status"] == "ABORTED"
    assert [event.kind for event in deployed.events("tsk_1")] == [Kind.ACCEPTED, Kind.STARTED, Kind.CANCELLED]
    control = deployed.fleet.control_table
    (mark,) = asyncio.run(DynamoPauses(clients.dynamodb(), control, run_on_thread).read())
    assert (mark.scope, mark.name) == (PauseScope.RUN, run_id)
    assert not asyncio.run(deployed.recorder.record(news(run_id, "ABORTED")))


def test_what_cannot_be_cleared_up_comes_again(deployed: Deployed) -> None:
    run_id = deployed.started()
    deployed.call("POST", f"/v1/workflows/{run_id}/cancel")
    events = deployed.events(run_id)
    clients.dynamodb().delete_table(TableName=deployed.fleet.views_table)
    assert deployed.tell(*events) == [record_of(events[1])["dynamodb"]["SequenceNumber"]]
