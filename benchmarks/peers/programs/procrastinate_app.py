"""Procrastinate: `python -m …procrastinate_app install | worker CONCURRENCY DEAD_AFTER_SECONDS | submit`.

Jobs of workers whose heartbeat stopped are retried by a periodic task, as its documentation says.
"""

from __future__ import annotations

import asyncio
import os
import sys

import procrastinate

from benchmarks.peers.programs import work
from benchmarks.peers.programs.submitting import serve_async

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=os.environ["PEERS_DATABASE"], min_size=2, max_size=10)
)


@app.task(name="work")
async def run(workload: str, key: str) -> None:
    """Run one task."""
    await work.run_async(workload, key)


@app.periodic(cron="* * * * * */2")
@app.task(name="retry_stalled", queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context: procrastinate.JobContext, timestamp: int) -> None:
    """Retry the jobs of workers that are gone."""
    seconds = float(os.environ["PEERS_DEAD_AFTER_SECONDS"])
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=seconds):
        await app.job_manager.retry_job(job)


async def _main() -> None:
    async with app.open_async():
        match sys.argv[1]:
            case "install":
                await app.schema_manager.apply_schema_async()
            case "worker":
                seconds = float(os.environ["PEERS_DEAD_AFTER_SECONDS"])
                await app.run_worker_async(
                    concurrency=int(sys.argv[2]),
                    update_heartbeat_interval=seconds / 5,
                    stalled_worker_timeout=seconds,
                )
            case _:

                async def submit(workload: str, key: str) -> str:
                    return str(await run.defer_async(workload=workload, key=key))

                await serve_async(submit)


if __name__ == "__main__":
    asyncio.run(_main())
