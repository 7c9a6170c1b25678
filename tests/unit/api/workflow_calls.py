"""The API's calls about runs of workflows, and tasks that their states ask for."""

from __future__ import annotations

import asyncio
from typing import Any

from flotilla.events import GENESIS_HASH, Kind, chain
from flotilla.models import WorkflowStep
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.executions import RunEnds
from flotilla.workflow_ports import ExecutionStatus
from tests.gateway_events import Answer
from tests.logs import BODIES
from tests.unit.api.api import INLINE_BYTES, Api


class RunsApi(Api):
    """The API with runs."""

    def start(self, value: Any = None, workflow: str = "analysis", **more: Any) -> Answer:
        headers = {"idempotency-key": more.pop("key")} if "key" in more else {}
        body = {"input": value, **more}
        return self.call("POST", f"/v1/workflows/{workflow}", body, headers=headers)

    def started(self, value: Any = None, **more: Any) -> str:
        """Start a run; its id."""
        answer = self.start(value, **more)
        assert answer.status == 202, answer.text
        return str(answer.json()["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """The run as the API shows it."""
        answer = self.call("GET", f"/v1/workflows/{run_id}")
        assert answer.status == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def task(self, run_id: str, step: str, number: int, *kinds: Kind, agent: str = "document.extract") -> str:
        """A task that a state asked for, and what became of it; the read model knows it."""
        task_id = f"tsk_{number:032x}"
        body = {
            "agent": agent,
            "parent": run_id,
            "workflow": WorkflowStep(run_id, step, f"secret-{number}").to_json(),
        }
        events = {}
        previous = GENESIS_HASH
        for seq, kind in enumerate((Kind.ACCEPTED, *kinds)):
            event = chain(
                task_id=task_id,
                seq=seq,
                kind=kind,
                at_ms=self.clock.now_ms(),
                actor="worker:w/1",
                attempt=1 if seq else 0,
                body=BODIES[kind] | (body if seq == 0 else {}),
                prev_hash=previous,
            )
            events[seq] = event
            previous = event.hash
        self.memory.logs[task_id] = events
        self.clock.advance(1)
        self.project()
        return task_id

    def end(self, run_id: str, status: ExecutionStatus, **how: Any) -> None:
        """Have the execution end, and be recorded."""
        workflow = self.events(run_id)[0].body["agent"].removeprefix("workflow:")
        execution = self.executions.end(workflow, f"{run_id}-0", status, **how)
        ends = RunEnds(
            log=self.memory,
            executions=self.executions,
            claim_check=ClaimCheck(self.payloads, INLINE_BYTES),
            clock=self.clock,
        )
        assert asyncio.run(ends.record(execution))
        self.project()
