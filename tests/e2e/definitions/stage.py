"""Runs workflows' definitions on an engine with nothing deployed: a script answers for the workers.

Once deployed, tasks on lanes answer what states ask for. Here a queue stands for every lane, and whatever a state asks
for is answered as the test's script says, by the same API. So a definition meets every error within milliseconds.
"""

from __future__ import annotations

import copy
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.clients import client
from local.instance import REPOSITORY
from tests.e2e.waiting import eventually

DEFINITIONS = REPOSITORY / "statemachines"
BUCKET = "definitions-payloads"

_ROLE = "arn:aws:iam::000000000000:role/definitions"
_LANES = ("default_lane", "lane_critical", "lane_standard", "lane_batch")
_CONSUMERS = 4
_IMPATIENT_SECONDS = 3
"""Long enough for a busy machine to answer the orders that are answered."""


@dataclass(frozen=True)
class Order:
    """What a state asked for."""

    run: str
    state: str
    retry: int
    token: str
    agent: str
    input: Any
    body: dict[str, Any]

    @property
    def task_id(self) -> str:
        """Of the task that a worker would make of it; the same for the same order."""
        return f"tsk_{self.state}_{uuid.uuid5(uuid.NAMESPACE_OID, self.token + str(self.retry)).hex[:8]}"


@dataclass(frozen=True)
class Done:
    """The task succeeded."""

    output: Any = None


@dataclass(frozen=True)
class Failed:
    """The task ended otherwise.

    Attributes:
        cause: Instead of what a worker says.
    """

    error: str
    message: str = "told to fail"
    cause: str | None = None


@dataclass(frozen=True)
class Silence:
    """Nobody answers."""


Answer = Done | Failed | Silence
Script = Callable[[Order], Answer]


@dataclass
class Running:
    """An execution, and what its states asked for so far."""

    arn: str
    run: str
    script: Script
    orders: list[Order] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """How an execution ended.

    Attributes:
        path: The states outside of maps, in the order in which they were entered.
        error: None where it succeeded.
    """

    path: list[str]
    orders: list[Order]
    error: str | None
    cause: str
    output: Any

    @property
    def told(self) -> Any:
        """The cause, where it is JSON."""
        return json.loads(self.cause)

    def after(self, state: str) -> str | None:
        """Which state was entered after the last time that this one was; None where it was the last."""
        place = len(self.path) - self.path[::-1].index(state)
        return self.path[place] if place < len(self.path) else None

    def asked(self, state: str) -> list[Order]:
        """What the state asked for."""
        return [order for order in self.orders if order.state == state]


def definition(name: str) -> dict[str, Any]:
    """A workflow's definition as it is in the repository."""
    found: dict[str, Any] = json.loads((DEFINITIONS / f"{name}.asl.json").read_text("utf-8"))
    return found


def states_of(
    machine: Mapping[str, Any], inside: str | None = None
) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Every state with its name and the map it is in."""
    for name, state in machine["States"].items():
        yield name, state, inside
        if "ItemProcessor" in state:
            yield from states_of(state["ItemProcessor"], name)


def state_of(machine: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A state by its name, of whichever map."""
    return next(state for each, state, _ in states_of(machine) if each == name)


def hurried(machine: Mapping[str, Any], *, impatient: str | None = None) -> dict[str, Any]:
    """The definition without the waits of its retries, and with a state that does not wait long for its answer."""
    changed = copy.deepcopy(dict(machine))
    for name, state, _ in states_of(changed):
        for retrier in state.get("Retry", []):
            retrier["IntervalSeconds"] = 0
        if name == impatient:
            state["TimeoutSeconds"] = _IMPATIENT_SECONDS
    return changed


class Stage:
    """Executions on one engine."""

    def __init__(self, engine_url: str) -> None:
        self._states = client("stepfunctions", engine_url)
        self._sqs = client("sqs", engine_url)
        self.s3 = client("s3", engine_url)
        self.s3.create_bucket(Bucket=BUCKET)
        queue = self._sqs.create_queue(
            QueueName="definitions.fifo", Attributes={"FifoQueue": "true", "VisibilityTimeout": "600"}
        )
        self._queue_url = queue["QueueUrl"]
        self._machines: dict[str, str] = {}
        self._running: dict[str, Running] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()

    @contextmanager
    def attended(self) -> Iterator[Stage]:
        """Answers states for as long as the context lasts."""
        with ThreadPoolExecutor(_CONSUMERS) as pool:
            consumers = [pool.submit(self._consume) for _ in range(_CONSUMERS)]
            try:
                yield self
            finally:
                self._over.set()
        for consumer in consumers:
            consumer.result()

    def start(
        self, machine: Mapping[str, Any], value: Any, script: Script, *, header: Mapping[str, Any] | None = None
    ) -> Running:
        """Start an execution of a definition, as the API starts a run."""
        run = f"wfl_{uuid.uuid4().hex}"
        running = Running("", run, script)
        with self._lock:
            self._running[run] = running
            arn = self._machine(machine)
        told = {"run": run, "tenant": "acme", "name": "definitions", "depth": 0, "labels": {}, "budgets": []}
        document = {"workflow": told | dict(header or {}), "input": value}
        answer = self._states.start_execution(stateMachineArn=arn, name=f"{run}-0", input=json.dumps(document))
        running.arn = answer["executionArn"]
        return running

    def finish(self, running: Running) -> Ended:
        """Wait for its end."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self._states.describe_execution(executionArn=running.arn)
            return None if found["status"] == "RUNNING" else found

        found = eventually(look, f"the end of {running.run}", seconds=60, every=0.05)
        # A state that gave up waiting may have been faster than whoever writes down what it asked for.
        eventually(self._all_is_received, "the receipt of all orders", seconds=60, every=0.05)
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=running.arn)
        path = [
            event["stateEnteredEventDetails"]["name"]
            for page in pages
            for event in page["events"]
            if event["type"].endswith("StateEntered")
        ]
        return Ended(
            path=path,
            orders=list(running.orders),
            error=found.get("error"),
            cause=found.get("cause", ""),
            output=json.loads(found["output"]) if found["status"] == "SUCCEEDED" else None,
        )

    def _all_is_received(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=names)["Attributes"]
        return all(int(found[name]) == 0 for name in names)

    def run(self, machine: Mapping[str, Any], value: Any, script: Script) -> Ended:
        """Start an execution and wait for its end."""
        return self.finish(self.start(machine, value, script))

    def write(self, key: str, text: str) -> None:
        """Put an object into the bucket of payloads."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())

    def read(self, key: str) -> str:
        """Get an object from the bucket of payloads."""
        return str(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode())

    def _machine(self, machine: Mapping[str, Any]) -> str:
        text = json.dumps(machine)
        for name in _LANES:
            text = text.replace(f"${{{name}}}", self._queue_url)
        text = text.replace("${workflows_bucket}", BUCKET).replace("${fleet}", "definitions")
        if text not in self._machines:
            created = self._states.create_state_machine(
                name=f"definitions-{len(self._machines)}", definition=text, roleArn=_ROLE
            )
            self._machines[text] = created["stateMachineArn"]
        return self._machines[text]

    def _consume(self) -> None:
        while not self._over.is_set():
            batch = self._sqs.receive_message(QueueUrl=self._queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in batch.get("Messages", []):
                self._answer(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])

    def _answer(self, body: dict[str, Any]) -> None:
        state = body["state"]
        run = body["workflow"]["run"]
        order = Order(run, state["Name"], state["RetryCount"], body["token"], body["agent"], body["input"], body)
        running = self._running[run]
        with self._lock:
            running.orders.append(order)
        match running.script(order):
            case Done(output):
                told = {"task_id": order.task_id, "agent": order.agent, "output": output}
                self._states.send_task_success(taskToken=order.token, output=json.dumps(told))
            case Failed(error, message, cause):
                ended = {"task_id": order.task_id, "message": message, "retryable": False, "status": "dead_lettered"}
                self._states.send_task_failure(taskToken=order.token, error=error, cause=cause or json.dumps(ended))
            case Silence():
                pass


def load_lines(text: str) -> list[Any]:
    """Read JSON Lines."""
    return [json.loads(line) for line in text.splitlines()]


def definition_files() -> list[Path]:
    """The files of all definitions."""
    return sorted(DEFINITIONS.glob("*.asl.json"))
