"""What Celery's two brokers have in common: prefork workers, of which a whole one or one pool process may be killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.at_work import busiest
from benchmarks.peers.environment import PYTHON
from benchmarks.peers.processor_time import tree
from benchmarks.peers.programs_subject import WORKER, ProgramsSubject, program
from benchmarks.peers.subject import TASKS_EACH

_POOL_PROCESS = "one pool process"


class CelerySubject(ProgramsSubject):
    """Celery on some broker."""

    kills: Sequence[str] = (WORKER, _POOL_PROCESS)

    def kill(self, what: str) -> None:
        """See `Subject.kill`."""
        worker = self._workers[0]
        if what != _POOL_PROCESS or worker is None:
            super().kill(what)
            return
        os.kill(busiest(lambda: tree(worker.pid) - {worker.pid}, self._environment["PEERS_SINK"]), signal.SIGKILL)

    def _use(self, broker: str, transport: Mapping[str, Any]) -> None:
        self._environment |= {
            "PEERS_BROKER": broker,
            "PEERS_TRANSPORT": json.dumps(transport),
            "C_FORCE_ROOT": "1",  # only says so where it is root
        }

    def _worker_command(self, number: int) -> Sequence[str | Path]:
        """See `ProgramsSubject`."""
        options = [
            "--concurrency",
            str(TASKS_EACH),
            "--hostname",
            f"worker-{number}@localhost",
            "--loglevel",
            "WARNING",
        ]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        application = ["--app", "benchmarks.peers.programs.celery_app"]
        return [PYTHON, "-m", "celery", *application, "worker", *options, *quiet]

    def _submitter_command(self) -> Sequence[str | Path]:
        """See `ProgramsSubject`."""
        return program("celery_app")
