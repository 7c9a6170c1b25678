"""PgQueuer on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.programs_subject import program
from benchmarks.peers.subject import DEAD_AFTER_SECONDS, TASKS_EACH, WORKERS
from benchmarks.peers.subjects.postgres_subject import PostgresSubject

_MODULE = "pgqueuer_app"


class PgQueuer(PostgresSubject):
    """PgQueuer, asynchronous entrypoints on asyncpg."""

    name = "PgQueuer"
    how = (
        f"{WORKERS} workers of {TASKS_EACH} asyncio tasks, on asyncpg; `heartbeat_timeout` {DEAD_AFTER_SECONDS:.0f} s, "
        "`dequeue_timeout` 1 s; PostgreSQL as above"
    )

    def _serve(self) -> None:
        super()._serve()
        self._run(program(_MODULE, "install"))

    def _worker_command(self, number: int) -> Sequence[str | Path]:  # noqa: ARG002 - all are alike
        return program(_MODULE, "worker", str(TASKS_EACH))

    def _submitter_command(self) -> Sequence[str | Path]:
        return program(_MODULE, "submit")
