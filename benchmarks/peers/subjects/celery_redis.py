"""Celery on Redis, durable."""

from __future__ import annotations

from collections.abc import Collection

from benchmarks.peers.servers import Server, start_redis
from benchmarks.peers.subject import DEAD_AFTER_SECONDS, TASKS_EACH, WORKERS
from benchmarks.peers.subjects.celery_subject import CelerySubject


class CeleryOnRedis(CelerySubject):
    """Celery on a Redis that syncs its append-only file before every answer."""

    name = "Celery + Redis"
    how = (
        f"{WORKERS} prefork workers of {TASKS_EACH}; `acks_late`, `task_reject_on_worker_lost`, no results, prefetch "
        f"1, `visibility_timeout` {DEAD_AFTER_SECONDS:.0f} s, looked after every second; Redis with `appendonly yes`, "
        "`appendfsync always`"
    )
    _redis: Server | None = None

    def _serve(self) -> None:
        self._redis = start_redis(self._directory)
        transport = {
            "visibility_timeout": DEAD_AFTER_SECONDS,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        }
        self._use(self._redis.url, transport)

    def _stop_serving(self) -> None:
        if self._redis is not None:
            self._redis.stop()

    def _servers(self) -> Collection[int]:
        return [self._redis.pid] if self._redis else []
