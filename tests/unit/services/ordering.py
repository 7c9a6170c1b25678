"""Orders of a workflow's states, as they lie on a lane, and what their states are told."""

from __future__ import annotations

import json
from typing import Any

from flotilla.models import Delivery
from flotilla.services.attempt_tools import AttemptTools
from flotilla.services.batch import BatchResult
from flotilla.workflows.order import RunHeader, StepOrder
from tests.unit.services.fleet import Fleet, run

RUN = "wfl_" + "0" * 32
TOKEN = "AQBEAAAAKgAAAAMAAAAA" * 20
HEADER = RunHeader(RUN, "acme", "document-analysis")


def body_of(
    agent: str = "sample.echo",
    value: Any = None,
    *,
    times: int = 0,
    header: RunHeader = HEADER,
    step: str = "Extract",
    retry: int = 0,
    token: str = TOKEN,
    **members: Any,
) -> str:
    """What a state puts on a lane."""
    return json.dumps(
        {
            "workflow": header.to_json(),
            "state": {"Name": step, "RetryCount": retry, "EnteredTime": "2026-11-21T00:00:00Z"},
            "token": token,
            "agent": agent,
            "input": {"value": value, "times": times},
            **members,
        }
    )


def order_of(body: str) -> StepOrder:
    return StepOrder.from_body(body)


def delivery_of(body: str, receive_count: int = 1, *, name: str = "m-1") -> Delivery:
    return Delivery(name, f"{name}/{receive_count}", f"g-{name}", receive_count, body)


def asked(fleet: Fleet, agent: str = "sample.echo", value: Any = None, **members: Any) -> str:
    """An order on its lane, whose state waits."""
    body = body_of(agent, value, **members)
    fleet.tokens.waiting.add(order_of(body).token)
    return body


def worked(fleet: Fleet, body: str, receive_count: int = 1, *, process: AttemptTools | None = None) -> BatchResult:
    """Hand the order to a worker."""
    result: BatchResult = run(fleet.deliver(delivery_of(body, receive_count), process=process))
    return result


def told(fleet: Fleet, token: str = TOKEN) -> dict[str, Any]:
    """The one answer that a state got: its output, or its error and the cause."""
    (answer,) = fleet.tokens.answers_to(token)
    if answer.output is not None:
        output: dict[str, Any] = json.loads(answer.output)
        return output
    return {"error": answer.error, **json.loads(answer.cause or "{}")}
