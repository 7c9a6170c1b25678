"""A worker's process, as Lambda runs it, over an AWS in memory.

`python -m tests.integration.worker.process ASSEMBLY REPORT`: the environment is the synthesized function's own, tables,
queues and bucket are made from the templates. What happens is written to REPORT line by line, since the last
invocation ends the process.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any, cast

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from moto import mock_aws

from flotilla.agents.catalog import Catalog
from flotilla.clock import SystemClock
from flotilla.coordination import Pause, PauseScope
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.pauses import DynamoPauses
from flotilla.models import TaskMessage
from flotilla.ports import Lanes
from flotilla.runtime import clients
from flotilla.runtime.settings import WorkerSettings
from flotilla.s3.payload_store import S3PayloadStore
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import message_for
from flotilla.services.open_logs import OpenLogs
from flotilla.services.signal import Signal, SignalService
from flotilla.services.submit import Submission, SubmitService
from flotilla.sqs.lanes import SqsLanes
from flotilla.workflows.order import StepOrder
from functions.worker import handler
from tests.aws_resources import make_bucket, make_queues, make_table
from tests.fakes import MemoryLanes, run_on_thread
from tests.fakes.assembly import dispatch_to
from tests.gateway_events import InvocationContext
from tests.synthesis import Templates
from tests.unit.services.ordering import body_of

LANE = "standard"
PAUSED_AGENT = "sample.steps"
REMAINING_MS = 60_000


class Report:
    """Lines of JSON, each on disk before the next thing happens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.scenario = "start"

    def write(self, **line: Any) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"scenario": self.scenario, **line}) + "\n")

    def calls_of(self, who: str, client: Any) -> None:
        """Write a line for each call made through `client`."""

        def count(model: Any, params: dict[str, Any], **_: Any) -> None:
            body = params.get("body")
            told = json.loads(body) if isinstance(body, bytes) and body else {}
            entries = len(told.get("Entries", [None]))
            target = told.get("TableName") or str(told.get("QueueUrl", "")).rpartition("/")[2]
            self.write(what="call", who=who, call=model.name, entries=entries, target=target)

        client.meta.events.register("before-call", count)


class Stage:
    """A fleet in memory: clients and the event source on one side, the worker on the other."""

    def __init__(self, templates: Templates, report: Report) -> None:
        self._report = report
        self._requests = itertools.count()
        self._dynamodb, self._sqs, self._s3 = (boto3.client(name) for name in ("dynamodb", "sqs", "s3"))
        self._table = make_table(self._dynamodb, templates, "flotilla-events")
        control = make_table(self._dynamodb, templates, "flotilla-control")
        pause = Pause(PauseScope.AGENT, PAUSED_AGENT, "a reason", "key:operator", SystemClock().now_ms())
        asyncio.run(DynamoPauses(self._dynamodb, control, run_on_thread).put(pause))
        self._bucket = make_bucket(self._s3, templates)
        urls = make_queues(self._sqs, templates)
        self._lane, self._dlq = urls[f"flotilla-{LANE}.fifo"], urls[f"flotilla-{LANE}-dlq.fifo"]
        for client in (self._dynamodb, self._sqs, self._s3):
            report.calls_of("client", client)
        for client in (clients.dynamodb(), clients.sqs(), clients.s3(), clients.stepfunctions()):
            report.calls_of("worker", client)
        self._catalog = Catalog.deployed()
        settings = WorkerSettings.read()
        self._log = DynamoEventLog(self._dynamodb, self._table, settings.retention_days, run_on_thread)
        store = S3PayloadStore(lambda: self._s3, self._bucket, run_on_thread)
        self._claim_check = ClaimCheck(store, settings.inline_payload_bytes)

    def _submitted(self, lanes: Lanes, agent: str, value: Any, options: dict[str, Any]) -> TaskMessage:
        clock = SystemClock()
        submits = SubmitService(
            log=self._log, dispatch=dispatch_to(lanes, clock), claim_check=self._claim_check, clock=clock
        )
        submission = Submission(
            tenant="acme",
            actor="key:test",
            request_id=f"request-{next(self._requests)}",
            agent=self._catalog.get(agent),
            lane=LANE,
            input=value,
            request={"input": value},
            **options,
        )
        return message_for(asyncio.run(submits.submit(submission)).state)

    def submit(self, agent: str, value: Any, **options: Any) -> str:
        """Submit a task as the API does; its id."""
        lanes = SqsLanes(self._sqs, {LANE: self._lane}, run_on_thread)
        return self._submitted(lanes, agent, value, options).task_id

    def submit_changed(self, agent: str, value: Any, changes: dict[str, Any]) -> str:
        """Submit a task whose message arrives changed."""
        message = self._submitted(MemoryLanes(), agent, value, {})
        self.send(json.dumps(json.loads(message.to_body()) | changes), message.group)
        return message.task_id

    def signal(self, task_id: str, payload: Any) -> None:
        """Give a task the signal that it waits for, as the API does."""
        clock = SystemClock()
        logs = OpenLogs(log=self._log, past=None, clock=clock, retention_days=30)
        lanes = SqsLanes(self._sqs, {LANE: self._lane}, run_on_thread)
        signals = SignalService(logs=logs, dispatch=dispatch_to(lanes, clock), lanes=(LANE,), clock=clock)
        signal = Signal("decision", payload, "key:test", f"request-{next(self._requests)}")
        asyncio.run(signals.signal(task_id, signal, tenant="acme"))

    def send(self, body: str, group: str) -> None:
        self._sqs.send_message(
            QueueUrl=self._lane, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=group
        )

    def order(self, agent: str, value: Any, **members: Any) -> str:
        """Ask for a task as a workflow's state does; its id."""
        body = body_of(agent, **members)
        self.send(json.dumps(json.loads(body) | {"input": value}), "state")
        return StepOrder.from_body(body).task_id

    def run_batch(self, *, delete: bool = True) -> None:
        """Do what Lambda's event source does: receive, invoke, delete what the worker did not ask to keep."""
        received = self._sqs.receive_message(
            QueueUrl=self._lane, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
            }
            for message in received.get("Messages", [])
        ]
        self._report.write(what="batch", tasks=[_task(record) for record in records])
        answer = handler.handler({"Records": records}, cast(LambdaContext, InvocationContext(REMAINING_MS)))
        keep = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        kept = [record for record in records if record["messageId"] in keep]
        done = [record for record in records if record["messageId"] not in keep]
        self._report.write(
            what="answer", members=list(answer), done=[_task(record) for record in done], kept=[*map(_task, kept)]
        )
        for record in records:
            if delete and record in done:
                self._sqs.delete_message(QueueUrl=self._lane, ReceiptHandle=record["receiptHandle"])
            else:
                self._sqs.change_message_visibility(
                    QueueUrl=self._lane, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
                )

    def clear(self) -> None:
        """Take off the lane what a scenario left on it."""
        for message in self._sqs.receive_message(QueueUrl=self._lane, MaxNumberOfMessages=10).get("Messages", []):
            self._sqs.delete_message(QueueUrl=self._lane, ReceiptHandle=message["ReceiptHandle"])

    def report_logs(self, **tasks: str) -> None:
        for name, task in tasks.items():
            kinds = [event.kind.value for event in asyncio.run(self._log.read(task))]
            self._report.write(what="log", name=name, task=task, kinds=kinds)

    def report_dead_letters(self) -> None:
        received = self._sqs.receive_message(QueueUrl=self._dlq, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        for message in received.get("Messages", []):
            reason = message["MessageAttributes"]["reason"]["StringValue"]
            self._report.write(what="dead letter", body=message["Body"], reason=reason)


def _task(record: dict[str, Any]) -> str:
    try:
        return str(json.loads(record["body"])["task_id"])
    except (ValueError, KeyError, TypeError):
        return "stray"


def ten_happy_tasks(stage: Stage) -> None:
    tasks = {f"task{number}": stage.submit("diagnostics.echo", {"value": number}) for number in range(10)}
    stage.run_batch()
    stage.report_logs(**tasks)


def a_batch_of_everything(stage: Stage) -> None:
    happy = stage.submit("diagnostics.echo", {"value": 1})
    failing = stage.submit("diagnostics.flaky", {"fail_attempts": 1})
    hopeless = stage.submit("diagnostics.flaky", {"fail_attempts": 9, "error": "permanent"})
    large = stage.submit("diagnostics.echo", {"value": "x" * 100_000})
    first = stage.submit("diagnostics.flaky", {"fail_attempts": 1}, session="s")
    second = stage.submit("diagnostics.echo", {"value": 2}, session="s")
    stage.send('{"not": "a task"}', "stray")
    not_deployed = stage.submit_changed("diagnostics.echo", {"value": 3}, {"agent": "of.a.later.release"})
    not_a_hash = stage.submit_changed("diagnostics.echo", {"value": 4}, {"hash": "zz"})
    stage.run_batch()
    stage.report_logs(
        happy=happy,
        failing=failing,
        hopeless=hopeless,
        large=large,
        first=first,
        second=second,
        not_deployed=not_deployed,
        not_a_hash=not_a_hash,
    )
    stage.report_dead_letters()


def a_message_that_was_not_deleted(stage: Stage) -> None:
    task = stage.submit("diagnostics.echo", {"value": 1})
    stage.run_batch(delete=False)
    stage._report.scenario = "a_message_that_comes_again"
    stage.run_batch()
    stage.report_logs(task=task)


def a_task_of_a_paused_agent(stage: Stage) -> None:
    task = stage.submit(PAUSED_AGENT, {})
    stage.run_batch()
    stage.report_logs(task=task)


def a_session_that_remembers(stage: Stage) -> None:
    first, second = (stage.submit("sample.remembering", {"value": word}, session="m") for word in ("one", "two"))
    stage.run_batch()
    stage.report_logs(first=first, second=second)


def identical_tasks(stage: Stage) -> None:
    tasks = {f"task{number}": stage.submit("sample.cached", {"value": 1}) for number in range(3)}
    stage.run_batch()
    stage.report_logs(**tasks)


def calls_to_an_integration(stage: Stage) -> None:
    boto3.client("secretsmanager").create_secret(Name="crm/token", SecretString="t0ken")
    call = {"integration": "crm", "path": "/orders?x=1", "method": "POST", "body": {"a": 1}}
    calls = {f"call{number}": stage.submit("diagnostics.call", call) for number in range(8)}
    other = stage.submit("diagnostics.call", {"integration": "erp"})
    plain = stage.submit("calling.plain", {"calls": 1})
    stage.run_batch()
    stage.report_logs(**calls, other=other, plain=plain)


def a_task_parked_for_long(stage: Stage) -> None:
    task = stage.submit("sample.parking", {"value": 600, "times": 1})
    stage.run_batch()
    stage.report_logs(task=task)


def a_task_that_waits(stage: Stage) -> None:
    tasks = {
        "signalled": stage.submit("diagnostics.wait", {}),
        "for_long": stage.submit("diagnostics.wait", {"timeout_seconds": 86_400}),
        "for_a_while": stage.submit("diagnostics.wait", {"timeout_seconds": 600}, session="w"),
    }
    stage.run_batch()
    stage.report_logs(**tasks)
    stage._report.scenario = "a_task_that_was_signalled"
    stage.signal(tasks["signalled"], {"approved": True})
    stage.run_batch()
    stage.report_logs(signalled=tasks["signalled"])


def an_order_of_a_state(stage: Stage) -> None:
    task = stage.order("diagnostics.echo", {"value": 1})
    stage.run_batch(delete=False)
    stage.report_logs(task=task)
    stage._report.scenario = "an_order_that_comes_again"
    stage.run_batch()
    stage.report_logs(task=task)


def a_plain_agent_that_does_not_stop(stage: Stage) -> None:
    """Ends the process."""
    stage.submit("sample.late-plain", {})
    stage.submit("diagnostics.echo", {"value": 1})
    stage.run_batch()


SCENARIOS = [
    ten_happy_tasks,
    a_message_that_was_not_deleted,
    a_task_parked_for_long,
    a_session_that_remembers,
    a_batch_of_everything,
    a_task_of_a_paused_agent,
    identical_tasks,
    calls_to_an_integration,
    a_task_that_waits,
    an_order_of_a_state,
    a_plain_agent_that_does_not_stop,
]


def main(assembly: Path, path: Path) -> None:
    templates = Templates(assembly)
    report = Report(path)
    function = templates.one("AWS::Lambda::Function", FunctionName=f"flotilla-worker-{LANE}")
    os.environ.update(function.properties["Environment"]["Variables"])
    with mock_aws():
        stage = Stage(templates, report)
        report.scenario = "prepare"
        handler.prepare()
        for scenario in SCENARIOS:
            report.scenario = scenario.__name__
            scenario(stage)
            stage.clear()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
