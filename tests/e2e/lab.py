"""A fleet whose integration and models are servers that do as a test tells them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.fault_lab.script import Reply, Script
from benchmarks.fault_lab.server import FaultServer, Received
from local.engine import down, up
from local.instance import Instance
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.waiting import eventually

SECRET = "what-opens-the-lab"
CALL = "diagnostics.call"
GENERATE = "diagnostics.generate"
PROMPT = "Say something."

WELL = Script.steady()
DEAD = Script.steady(Reply(weight=2, status=503), Reply(fault="reset"))
SILENT = Script.steady(Reply(fault="stall"))


@dataclass(frozen=True)
class Lab:
    """The fleet, and the servers that it declares.

    Attributes:
        server: The integration `lab`.
        primary: The model that serves first by the route `best`.
        second: The model that serves where the first does not.
    """

    engine: Engine
    server: FaultServer
    primary: FaultServer
    second: FaultServer
    tenant: FleetClient
    operator: FleetClient

    def call(self, **value: Any) -> str:
        """Submit a task that makes one call; its id."""
        return self.tenant.accepted(CALL, {"integration": "lab", **value})

    def generate(self, route: str = "best", **body: Any) -> str:
        """Submit a task that calls a model; its id."""
        return self.tenant.accepted(GENERATE, {"route": route, "prompt": PROMPT}, **body)

    def served(self) -> str:
        """The model that serves a task by the route `best` now."""
        task = self.tenant.finished(self.generate())
        assert task["status"] == "succeeded", task
        return str(task["output"]["served"])

    def received(self, path: str) -> list[Received]:
        return [request for request in self.server.received if request.path == path]

    def parked(self, task_id: str) -> list[dict[str, Any]]:
        return [event for event in self.tenant.events(task_id) if event["kind"] == "parked"]

    def circuit(self, name: str) -> str:
        """How a circuit stands, as an operator sees it; "" where none is known of that name."""
        answer = self.operator.http.get("/v1/circuits")
        assert answer.status_code == 200, answer.text
        return next((item["state"] for item in answer.json()["items"] if item["name"] == name), "")

    def force(self, circuit: str, state: str) -> None:
        """Have an operator decide how a circuit stands, or leave it to itself (`auto`)."""
        answer = self.operator.http.put(f"/v1/circuits/{quote(circuit)}", json={"state": state, "reason": "a test"})
        assert answer.status_code == 200, answer.text

    def recover(self) -> None:
        """Have the integration do well, and the circuit find out."""
        self.server.follow(WELL)
        assert self.tenant.finished(self.call(path="/things/recovered"))["status"] == "succeeded"

    def recover_models(self) -> None:
        """Have both models do well, and the first serve with nothing of what was before held against it."""
        for name, server in (("primary", self.primary), ("second", self.second)):
            server.follow(WELL)
            for state in ("closed", "auto"):
                self.force(f"model#{name}", state)
        eventually(lambda: self.served() == "primary", "the first model serves", every=0.5)

    def worker_log(self) -> str:
        pages = self.engine.client("logs").get_paginator("filter_log_events")
        found = pages.paginate(logGroupName="/aws/lambda/flotilla-worker-standard")
        return "\n".join(event["message"] for page in found for event in page["events"])

    @contextmanager
    def without_control_table(self) -> Iterator[None]:
        """The fleet's `control` table is gone: circuits, limits, caps, budgets, pauses and keys; then it is back."""
        tables, name = self.engine.client("dynamodb"), self.engine.info.outputs["ControlTable"]
        shape = tables.describe_table(TableName=name)["Table"]
        items = [item for page in tables.get_paginator("scan").paginate(TableName=name) for item in page["Items"]]
        tables.delete_table(TableName=name)
        try:
            yield
        finally:
            tables.create_table(
                TableName=name,
                KeySchema=shape["KeySchema"],
                AttributeDefinitions=shape["AttributeDefinitions"],
                BillingMode="PAY_PER_REQUEST",
            )
            for item in items:
                tables.put_item(TableName=name, Item=item)


@contextmanager
def laboratory(root: Path) -> Iterator[Lab]:
    """The fleet, running; everything of its engine lies below `root`."""
    text = Path(__file__).with_name("lab_fleet.toml").read_text(encoding="utf-8")
    with ExitStack() as held:
        lab, primary, second = (held.enter_context(FaultServer(WELL)) for _ in range(3))
        for name, url in (("$lab", lab.url), ("$primary", primary.url), ("$second", second.url)):
            text = text.replace(name, f"{url}/v1")
        config = root / "fleet.toml"
        config.write_text(text, encoding="utf-8")
        instance = Instance(root=root / "engine", port=0, config=config, owner_pid=os.getpid())
        held.callback(down, instance)
        engine = Engine(instance, up(instance))
        secret = json.dumps({"key": SECRET})
        engine.client("secretsmanager").create_secret(Name="lab/key", SecretString=secret)
        tenant, operator = (
            FleetClient(engine.info.api_url, key) for key in (engine.info.tenant_key, engine.info.operator_key)
        )
        held.enter_context(tenant.http)
        held.enter_context(operator.http)
        yield Lab(engine, lab, primary, second, tenant, operator)
