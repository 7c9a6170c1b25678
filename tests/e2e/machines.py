"""State machines on an engine with nothing deployed, and a queue from which a test answers their states."""

from __future__ import annotations

import json
import uuid
from typing import Any

from local.clients import client
from tests.e2e.waiting import eventually

ROLE = "arn:aws:iam::000000000000:role/machines"
BUCKET = "results"
ORDER = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"


class Machines:
    """State machines on an engine, and a queue that their states ask for tasks on."""

    def __init__(self, url: str) -> None:
        self.states = client("stepfunctions", url)
        self.sqs = client("sqs", url)
        self.s3 = client("s3", url)
        self.events = client("events", url)
        self.s3.create_bucket(Bucket=BUCKET)
        created = self.sqs.create_queue(
            QueueName="orders.fifo", Attributes={"FifoQueue": "true", "VisibilityTimeout": "600"}
        )
        self.queue_url = created["QueueUrl"]

    def create(self, definition: dict[str, Any]) -> str:
        name = f"machine-{uuid.uuid4().hex[:8]}"
        created = self.states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)
        return str(created["stateMachineArn"])

    def start(self, definition: dict[str, Any], value: Any) -> str:
        machine = self.create(definition)
        return str(self.states.start_execution(stateMachineArn=machine, input=json.dumps(value))["executionArn"])

    def ended(self, arn: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.states.describe_execution(executionArn=arn)
            return None if found["status"] == "RUNNING" else found

        return eventually(look, f"the end of {arn}", seconds=60, every=0.05)

    def output(self, definition: dict[str, Any], value: Any) -> Any:
        found = self.ended(self.start(definition, value))
        assert found["status"] == "SUCCEEDED", found
        return json.loads(found["output"])

    def order(self, **state: Any) -> dict[str, Any]:
        """A state that asks for a task; it says who it is."""
        token = "$states.context.Task.Token"
        return {
            "Type": "Task",
            "QueryLanguage": "JSONata",
            "Resource": ORDER,
            "TimeoutSeconds": 600,
            "Arguments": {
                "QueueUrl": self.queue_url,
                "MessageGroupId": f"{{% $hash({token}, 'SHA-256') %}}",
                "MessageDeduplicationId": f"{{% $hash({token} & $string($states.context.State.RetryCount), 'MD5') %}}",
                "MessageBody": {
                    "token": f"{{% {token} %}}",
                    "state": "{% $states.context.State %}",
                    "input": "{% $states.input %}",
                    "of": "{% $states.context.Execution.Input %}",
                },
            },
            **({"End": True} if "Next" not in state else {}),
            **state,
        }

    def orders(self, count: int) -> list[dict[str, Any]]:
        """So many orders, as they come."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            answer = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
            return len(found) >= count

        eventually(look, f"{count} orders", seconds=60, every=0)
        return found

    def succeed(self, order: dict[str, Any], output: Any = None) -> None:
        self.states.send_task_success(taskToken=order["token"], output=json.dumps(output))

    def fail(self, order: dict[str, Any], error: str) -> None:
        self.states.send_task_failure(taskToken=order["token"], error=error, cause="told to")

    def quiet(self) -> bool:
        """Whether nothing is asked for any more."""
        return "Messages" not in self.sqs.receive_message(QueueUrl=self.queue_url, WaitTimeSeconds=2)

    def read(self, key: str) -> str:
        return str(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode())

    def results(self, output: dict[str, Any]) -> dict[str, Any]:
        """The manifest that a map's output names, and what lies in each of its files."""
        details = output["ResultWriterDetails"]
        assert details["Bucket"] == BUCKET
        manifest = json.loads(self.read(details["Key"]))
        assert manifest["DestinationBucket"] == BUCKET
        assert manifest["MapRunArn"] == output["MapRunArn"]
        files = {}
        for status, parts in manifest["ResultFiles"].items():
            for part in parts:
                assert part["Key"].startswith(details["Key"].removesuffix("manifest.json"))
                text = self.read(part["Key"])
                assert len(text.encode()) == part["Size"]
                lines = part["Key"].endswith(".jsonl")
                files[status] = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
        return files
