"""Celery on SQS, as the embedded engine has it."""

from __future__ import annotations

import os
from collections.abc import Collection
from urllib.parse import urlsplit

from benchmarks.peers.subject import DEAD_AFTER_SECONDS
from benchmarks.peers.subjects.celery_subject import CelerySubject
from local.clients import client
from local.engine_process import engine_url, start_engine, stop_engine
from local.instance import REGION, Instance
from local.processes import Process
from local.progress import Progress

_POLL_SECONDS = 3


class CeleryOnSqs(CelerySubject):
    """Celery on a standard queue of an engine of its own, in which nothing else is deployed."""

    name = "Celery + SQS"
    how = (
        "as Celery + Redis, on a standard queue of the embedded engine; `visibility_timeout` "
        f"{DEAD_AFTER_SECONDS:.0f} s, long polls; the engine keeps messages in memory"
    )
    _instance: Instance | None = None
    _engine: Process | None = None

    def _serve(self) -> None:
        self._instance = Instance(root=self._directory / "engine", port=0, owner_pid=os.getpid())
        self._instance.make_directories()
        with Progress().step("start an engine") as step:
            self._engine = start_engine(self._instance, step)
        url = engine_url(self._engine)
        attributes = {"VisibilityTimeout": str(int(DEAD_AFTER_SECONDS))}
        queue = client("sqs", url).create_queue(QueueName="peers", Attributes=attributes)["QueueUrl"]
        # The engine names its queues by the host that it was asked by.
        named = f"{url}{urlsplit(queue).path}"
        transport = {
            "region": REGION,
            "is_secure": False,
            "visibility_timeout": int(DEAD_AFTER_SECONDS),
            "wait_time_seconds": _POLL_SECONDS,
            "polling_interval": 0.1,
            "predefined_queues": {"peers": {"url": named}},
        }
        self._environment |= {"AWS_EC2_METADATA_DISABLED": "true"}
        self._use(f"sqs://test:test@{urlsplit(url).netloc}//", transport)

    def _stop_serving(self) -> None:
        if self._instance is not None:
            stop_engine(self._instance)

    def _servers(self) -> Collection[int]:
        return [self._engine.pid] if self._engine else []
