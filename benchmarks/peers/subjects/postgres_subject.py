"""What the peers on PostgreSQL have in common: a cluster of their own."""

from __future__ import annotations

from collections.abc import Collection

from benchmarks.peers.programs_subject import ProgramsSubject
from benchmarks.peers.servers import Server, start_postgres
from benchmarks.peers.subject import DEAD_AFTER_SECONDS


class PostgresSubject(ProgramsSubject):
    """A peer on PostgreSQL."""

    _postgres: Server | None = None

    def _serve(self) -> None:
        self._postgres = start_postgres(self._directory)
        self._environment |= {
            "PEERS_DATABASE": self._postgres.url,
            "PEERS_DEAD_AFTER_SECONDS": str(DEAD_AFTER_SECONDS),
        }

    def _stop_serving(self) -> None:
        if self._postgres is not None:
            self._postgres.stop()

    def _servers(self) -> Collection[int]:
        return [self._postgres.pid] if self._postgres else []
