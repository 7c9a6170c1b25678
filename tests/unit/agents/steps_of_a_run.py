"""A run of a workflow whose states are a test: each step is an order on a lane, worked on by a fleet in memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flotilla.services.attempt_tools import AttemptTools
from flotilla.workflows.order import StepOrder
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.ordering import HEADER, RUN, body_of, delivery_of
from tests.unit.services.waiting import delivery_of as message_of
from tests.unit.services.waiting import on_lane


class StepsOfARun:
    """The steps of one run, of a fleet with these agents."""

    def __init__(self, *agents: Callable[..., Any], fleet: Fleet | None = None, run_id: str = RUN) -> None:
        self.fleet = fleet or Fleet(list(agents))
        self.header = replace(HEADER, run=run_id)
        self.process: AttemptTools | None = None
        self._numbers = itertools.count()

    def ordered(self, agent: str, value: Any, **members: Any) -> StepOrder:
        """Have a worker take an order."""
        token = f"{self.header.run}-{next(self._numbers)}"
        self.fleet.tokens.waiting.add(token)
        body = json.dumps(json.loads(body_of(agent, header=self.header, token=token, **members)) | {"input": value})
        run(self.fleet.deliver(delivery_of(body, name=token), process=self.process))
        order = StepOrder.from_body(body)
        if order.session is not None:
            # It waits its turn in the session, as a message of its own.
            run(self.fleet.deliver(message_of(on_lane(self.fleet, order.task_id)), process=self.process))
        return order

    def told(self, order: StepOrder) -> dict[str, Any]:
        """What the state is answered."""
        (answer,) = self.fleet.tokens.answers_to(order.token)
        found: dict[str, Any] = json.loads(answer.output or answer.cause or "{}")
        return found | ({} if answer.output is not None else {"error": answer.error})

    def step(self, agent: str, value: Any, **members: Any) -> Any:
        """The output of a step, or an error that it ends with: `{"error", "message", …}`."""
        order = self.ordered(agent, value, **members)
        told = self.told(order)
        if "error" in told or not isinstance(told["output"], dict) or "$task_output" not in told["output"]:
            return told if "error" in told else told["output"]
        output = run(self.fleet.state(order.task_id)).output
        return run(self.fleet.claim_check.check_out(output))

    def file(self, name: str) -> str:
        """A file of the run."""
        return self.fleet.payloads.objects[f"workflows/{self.header.run}/{name}"].decode()

    def put(self, key: str, content: str | bytes) -> None:
        """Put a file where the run finds it."""
        self.fleet.payloads.objects[key] = content.encode() if isinstance(content, str) else content
