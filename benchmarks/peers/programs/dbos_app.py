"""DBOS: `python -m …dbos_app install CONCURRENCY | worker NAME CONCURRENCY | submit`.

A task is a workflow of one step, on a queue. Without its hosted conductor, what an executor had in hand is taken up
again when an executor of the same name starts.
"""

from __future__ import annotations

import os
import sys
import threading

from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.peers.programs import work
from benchmarks.peers.programs.submitting import serve

_QUEUE, _VERSION = "peers", "1"
_POLL_SECONDS = 0.1


@DBOS.step(name="work")
async def step(workload: str, key: str) -> None:
    """Do the work of a task."""
    await work.run_async(workload, key)


@DBOS.workflow(name="task")
async def task(workload: str, key: str) -> None:
    """Run one task."""
    await step(workload, key)


def _launch(name: str, concurrency: int) -> None:
    config: DBOSConfig = {
        "name": "peers",
        "system_database_url": os.environ["PEERS_DATABASE"],
        "executor_id": name,
        "application_version": _VERSION,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(_QUEUE, worker_concurrency=concurrency, polling_interval_sec=_POLL_SECONDS)


def _submit(at_once: int = 8) -> None:
    client = DBOSClient(
        system_database_url=os.environ["PEERS_DATABASE"], system_database_pool_size=at_once, application_name="peers"
    )

    def submit(workload: str, key: str) -> str:
        options = {"queue_name": _QUEUE, "workflow_name": "task", "app_version": _VERSION}
        return str(client.enqueue(options, workload, key).workflow_id)  # type: ignore[arg-type]

    serve(submit)


if __name__ == "__main__":
    match sys.argv[1]:
        case "install":
            _launch("installer", int(sys.argv[2]))
            DBOS.destroy()
        case "worker":
            _launch(sys.argv[2], int(sys.argv[3]))
            threading.Event().wait()
        case _:
            _submit()
