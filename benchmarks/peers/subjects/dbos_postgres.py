"""DBOS on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.programs_subject import program
from benchmarks.peers.subject import TASKS_EACH, WORKERS
from benchmarks.peers.subjects.postgres_subject import PostgresSubject

_MODULE = "dbos_app"


class Dbos(PostgresSubject):
    """DBOS, a queue of workflows of one step each."""

    name = "DBOS"
    how = (
        f"{WORKERS} executors of {TASKS_EACH}, a queue looked at every 100 ms; a task is a workflow of one step; what "
        "an executor had in hand is taken up when one of its name starts again; PostgreSQL as above"
    )

    def _serve(self) -> None:
        super()._serve()
        self._run(program(_MODULE, "install", str(TASKS_EACH)))

    def _worker_command(self, number: int) -> Sequence[str | Path]:
        return program(_MODULE, "worker", f"executor-{number}", str(TASKS_EACH))

    def _submitter_command(self) -> Sequence[str | Path]:
        return program(_MODULE, "submit")
