"""Celery: the application that its workers load, and its submitter (`python -m …celery_app`).

Late acknowledgement, tasks of lost pool processes rejected, nothing fetched ahead beyond what each process holds, no
result backend.
"""

from __future__ import annotations

import json
import os

from celery import Celery

from benchmarks.peers.programs import work
from benchmarks.peers.programs.submitting import serve

app = Celery("peers", broker=os.environ["PEERS_BROKER"])
app.conf.update(
    broker_transport_options=json.loads(os.environ["PEERS_TRANSPORT"]),
    broker_connection_retry_on_startup=True,
    task_default_queue="peers",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
)


@app.task(name="peers.work")
def run(workload: str, key: str) -> None:
    """Run one task."""
    work.run(workload, key)


if __name__ == "__main__":
    serve(lambda workload, key: str(run.delay(workload, key).id))
