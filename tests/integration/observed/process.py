"""All functions of a fleet that a task passes through, over an AWS in memory, with everything they are given marked.

`python -m tests.integration.observed.process REQUEST`: REQUEST is JSON. What the functions write goes where it goes on
Lambda, to standard output and standard error; the test reads both.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from typing import Any, cast

from aws_lambda_powertools.utilities.typing import LambdaContext
from moto import mock_aws

from tests.gateway_events import InvocationContext, http_event, identity
from tests.integration.conftest import REGION, FleetOnMoto, arn_of

CONTEXT = cast(LambdaContext, InvocationContext(60_000))


class Functions:
    """The deployed functions and what hands them their events."""

    def __init__(self, fleet: FleetOnMoto, request: dict[str, Any]) -> None:
        from flotilla.runtime import clients

        self.fleet = fleet
        self.marked: dict[str, str] = request["marked"]
        self.traceparent = request["traceparent"]
        self.receiver_port = request["receiver_port"]
        self.clients = clients
        self.webhooks, webhooks_dlq = (
            clients.sqs().create_queue(QueueName=f"fleet-{name}")["QueueUrl"] for name in ("webhooks", "webhooks-dlq")
        )
        targets = {"transitions": ["succeeded"], "event_bus": None, "topic_arn": None}
        os.environ.update(
            fleet.environment()
            | {
                "FLOTILLA_LANE": "standard",
                "FLOTILLA_SESSION_DAYS": "30",
                "FLOTILLA_ARCHIVE_DAYS": "365",
                "FLOTILLA_BROADCAST": json.dumps(targets),
                "FLOTILLA_WEBHOOKS_QUEUE_URL": self.webhooks,
                "FLOTILLA_WEBHOOKS_DLQ_URL": webhooks_dlq,
                "FLOTILLA_WEBHOOK_ALLOW": '["127.0.0.1"]',
                "FLOTILLA_TENANT_CLASSES": '{"acme":"gold"}',
                "FLOTILLA_CANARY": '{"period_seconds":300,"patience_seconds":{"standard":300},"scheduled":false}',
                "POWERTOOLS_SERVICE_NAME": "observed",
                "POWERTOOLS_LOG_LEVEL": "DEBUG",
            }
        )

    def set_up(self) -> None:
        from flotilla.clock import SystemClock
        from flotilla.dynamo.api_keys import partition_key
        from flotilla.dynamo.endpoints import DynamoEndpoints
        from flotilla.services.destinations import Destinations
        from flotilla.services.endpoints import EndpointService, Registration
        from tests.fakes import run_on_thread
        from tests.fakes.broadcast import MemoryResolver

        key: dict[str, Any] = {
            "pk": {"S": partition_key(self.marked["key"])},
            "sk": {"S": "KEY"},
            "key_id": {"S": "key-1"},
            "tenant": {"S": "acme"},
            "scopes": {"L": [{"S": "tasks:write"}, {"S": "tasks:read"}, {"S": "operate"}]},
            "created_at_ms": {"N": "1"},
        }
        self.clients.dynamodb().put_item(TableName=self.fleet.control_table, Item=key)
        for name, value in (("crm/token", "crm_secret"), ("model/key", "model_secret")):
            self.clients.secretsmanager().create_secret(Name=name, SecretString=self.marked[value])
        endpoints = DynamoEndpoints(self.clients.dynamodb(), self.fleet.control_table, run_on_thread)
        marked = self.marked["webhook_secret"].encode()
        service = EndpointService(
            endpoints, Destinations(MemoryResolver([]), ["127.0.0.1"]), SystemClock(), lambda length: marked[:length]
        )
        asyncio.run(service.register(Registration("acme", f"http://127.0.0.1:{self.receiver_port}/in")))

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        from functions.api import handler as api
        from functions.authorizer import handler as authorizer

        sent = {"authorization": f"Bearer {self.marked['key']}", "idempotency-key": self.marked["idempotency_key"]}
        event = http_event(method, path, body, headers=sent | headers, authorizer=identity())
        found = authorizer.handler(event, CONTEXT)
        assert found["context"]["tenant"] == "acme", found
        return api.handler(event, CONTEXT)

    def submit(self, agent: str, task: Any, **headers: str) -> str:
        headers.setdefault("idempotency-key", f"{self.marked['idempotency_key']}-{agent}")
        answer = self.call("POST", "/v1/tasks", {"agent": agent, "input": task}, **headers)
        assert answer["statusCode"] == 202, answer
        return str(json.loads(answer["body"])["id"])

    def work_off(self, queue_url: str, handler: Any) -> dict[str, Any]:
        received = self.clients.sqs().receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        )
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "eventSourceARN": arn_of(queue_url),
            }
            for message in received.get("Messages", [])
        ]
        assert records, queue_url
        answer: dict[str, Any] = handler({"Records": records}, CONTEXT)
        return answer

    def follow(self, *handlers: Any) -> None:
        items = self.clients.dynamodb().scan(TableName=self.fleet.events_table)["Items"]
        items.sort(key=lambda item: (item["task_id"]["S"], int(item["seq"]["N"])))
        records = [
            {"eventName": "INSERT", "dynamodb": {"NewImage": _as_in_json(item), "SequenceNumber": str(number)}}
            for number, item in enumerate(items, start=1)
        ]
        for handler in handlers:
            answer = handler({"Records": records}, CONTEXT)
            assert answer == {"batchItemFailures": []}, answer


def _as_in_json(item: Any) -> dict[str, Any]:
    return {
        name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value for name, value in item.items()
    }


def run(functions: Functions) -> None:
    from functions.broadcaster import handler as broadcaster
    from functions.keeper import handler as keeper
    from functions.projector import handler as projector
    from functions.reconciler import handler as reconciler
    from functions.triage import handler as triage
    from functions.webhook import handler as webhook
    from functions.worker import handler as worker

    marked, fleet = functions.marked, functions.fleet
    functions.set_up()
    traced = {"traceparent": functions.traceparent}
    call = {"integration": "crm", "method": "POST", "path": f"/things/{marked['path']}", "body": marked["input"]}
    tasks = {
        "call": functions.submit("diagnostics.call", call, **traced),
        "generate": functions.submit("diagnostics.generate", {"prompt": marked["input"]}, **traced),
        "echo": functions.submit("diagnostics.echo", {"value": marked["input"]}),
    }
    functions.submit("diagnostics.flaky", {"fail_attempts": 9, "error": "permanent"})
    functions.call("POST", "/v1/tasks", {"agent": "diagnostics.echo", "input": 1, marked["member"]: marked["input"]})
    functions.call("POST", "/v1/tasks", f'{{"agent": {marked["input"]}')
    answer = functions.work_off(fleet.queue_urls["standard"], worker.handler)
    assert answer == {"batchItemFailures": []}, answer
    body = json.dumps({"task_id": "tsk_1", "input": marked["input"]})
    dead = fleet.dlq_urls["standard"]
    functions.clients.sqs().send_message(
        QueueUrl=dead, MessageBody=body, MessageGroupId="g", MessageDeduplicationId="d"
    )
    functions.work_off(dead, triage.handler)
    functions.follow(projector.handler, broadcaster.handler)
    functions.work_off(functions.webhooks, webhook.handler)
    reconciler.handler({}, CONTEXT)
    keeper.handler({}, CONTEXT)
    read = [functions.call("GET", f"/v1/tasks/{task_id}") for task_id in tasks.values()]
    read.append(functions.call("GET", "/v1/dead-letters"))
    # The marks are really where they are said to be: what clients get back holds them.
    assert all(marked["input"] in read[number]["body"] for number in (0, 1, 2)), read
    assert marked["output"] in read[0]["body"] and marked["answer"] in read[1]["body"], read
    sys.stderr.write(json.dumps({"tasks": tasks}) + "\n")


def main(arguments: list[str]) -> None:
    os.environ.update(
        AWS_DEFAULT_REGION=REGION,
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        AWS_EC2_METADATA_DISABLED="true",
    )
    with mock_aws():
        fleet = FleetOnMoto()
        fleet.set_up()
        run(Functions(fleet, json.loads(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
