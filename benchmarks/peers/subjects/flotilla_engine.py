"""Flotilla on the embedded engine, over its HTTP API."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.chaos.tally import read_logs
from benchmarks.peers.at_work import busiest
from benchmarks.peers.programs_subject import WORKER, Submitter
from benchmarks.peers.subject import DEAD_AFTER_SECONDS, Submitted
from flotilla.events import Kind
from local.clients import client
from local.engine import forget, up
from local.engine_process import engine_record
from local.environment import TOOLS_PYTHON
from local.event_sources_process import event_sources_record
from local.instance import REPOSITORY, Instance, LocalInfo
from local.processes import Process
from local.progress import Progress

_FLEET = Path(__file__).parents[1] / "fleet.toml"
_IN_QUEUE = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


class Flotilla:
    """The whole fleet, read model, archive and notices included."""

    name = "Flotilla"
    how = (
        "the whole fleet on the embedded engine, submitted over HTTP: a lane of 3 invocations of 10 tasks; a task of "
        f"I/O is a durable step; attempts of {DEAD_AFTER_SECONDS:.0f} s; the engine keeps its tables in memory and "
        "runs every AWS service in one process"
    )
    kills: Sequence[str] = (WORKER,)

    def __init__(self, directory: Path, sink_url: str) -> None:
        self._directory = directory
        self._sink_url = sink_url
        self._instance = Instance(root=directory / "engine", port=0, config=_FLEET, owner_pid=os.getpid())
        self._info: LocalInfo | None = None
        self._submitter: Submitter | None = None

    def start(self) -> None:
        """See `Subject.start`."""
        self._info = up(self._instance, Progress())
        environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "HOME": str(self._directory),
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'layers' / 'flotilla' / 'python'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PEERS_API": self._info.api_url,
            "PEERS_KEY": self._info.tenant_key,
            "PEERS_SINK": self._sink_url,
        }
        command: list[str | Path] = [TOOLS_PYTHON, "-m", "benchmarks.peers.programs.flotilla_submitter"]
        self._submitter = Submitter(command, environment, self._directory / "submitter.log")

    def submit(self, workload: str, keys: Sequence[str], *, pace_seconds: float = 0.0) -> list[Submitted]:
        """See `Subject.submit`."""
        assert self._submitter is not None
        return self._submitter.submit(workload, keys, pace_seconds)

    def has_run(self, submitted: Collection[Submitted]) -> bool:  # noqa: ARG002 - all that there are
        """See `Subject.has_run`: its queue is empty, and nothing is being worked on."""
        info = self._running()
        answer = client("sqs", info.engine_url).get_queue_attributes(
            QueueUrl=info.outputs["LaneQueueStandard"], AttributeNames=list(_IN_QUEUE)
        )
        return not any(int(answer["Attributes"][name]) for name in _IN_QUEUE)

    def ends(self, submitted: Collection[Submitted]) -> Mapping[str, float]:
        """See `Subject.ends`. As the log has it: the event is made when the function has ended."""
        logs = read_logs(self._running())
        return {
            each.key: next(float(event.at_ms) for event in logs[each.task_id] if event.kind is Kind.SUCCEEDED)
            for each in submitted
        }

    def effect_key(self, submitted: Submitted) -> str:
        """See `Subject.effect_key`: what `ctx.idempotency_key("effect")` is for the task."""
        return hashlib.sha256(f"{submitted.task_id}\0effect".encode()).hexdigest()[:32]

    def roots(self) -> Collection[int]:
        """See `Subject.roots`."""
        records = [Process.load(engine_record(self._instance)), Process.load(event_sources_record(self._instance))]
        return [*(each.pid for each in records if each), *([self._submitter.pid] if self._submitter else [])]

    def kill(self, what: str) -> None:  # noqa: ARG002 - there is but one kind
        """See `Subject.kill`: the worker process that has the most tasks at work."""
        engine = Process.load(engine_record(self._instance))
        assert engine is not None
        root = psutil.Process(engine.pid)
        worker = busiest(lambda: [child.pid for child in root.children() if _is_worker(child)], self._sink_url)
        os.kill(worker, signal.SIGKILL)

    def mend(self) -> None:
        """See `Subject.mend`: the next invocation starts another process."""

    def stop(self) -> None:
        """See `Subject.stop`."""
        if self._submitter is not None:
            self._submitter.stop()
        forget(self._instance, Progress())

    def _running(self) -> LocalInfo:
        if self._info is None:
            raise RuntimeError("it was not started")
        return self._info


def _is_worker(process: psutil.Process) -> bool:
    try:
        return process.environ().get("AWS_LAMBDA_FUNCTION_NAME", "").endswith("-worker-standard")
    except psutil.Error:
        return False
