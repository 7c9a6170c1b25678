"""PgQueuer on asyncpg: `python -m …pgqueuer_app install | worker CONCURRENCY | submit`.

A job whose heartbeat stopped is picked again by whoever looks for work next.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import timedelta

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.peers.programs import work
from benchmarks.peers.programs.submitting import serve_async


async def _work(concurrency: int) -> None:
    connection = await asyncpg.connect(os.environ["PEERS_DATABASE"])
    queue = PgQueuer.from_asyncpg_connection(connection)

    @queue.entrypoint("work")
    async def run(job: Job) -> None:
        workload, key = json.loads(job.payload or b"[]")
        await work.run_async(workload, key)

    await queue.run(
        batch_size=concurrency // 2,  # it wants room for two batches
        max_concurrent_tasks=concurrency,
        dequeue_timeout=timedelta(seconds=1),  # a job whose worker died tells nobody: it is found by looking
        heartbeat_timeout=timedelta(seconds=float(os.environ["PEERS_DEAD_AFTER_SECONDS"])),
    )


async def _submit(at_once: int = 8) -> None:
    async with asyncpg.create_pool(os.environ["PEERS_DATABASE"], min_size=at_once, max_size=at_once) as pool:
        queries = Queries.from_asyncpg_pool(pool)

        async def submit(workload: str, key: str) -> str:
            return str((await queries.enqueue("work", json.dumps([workload, key]).encode()))[0])

        await serve_async(submit)


async def _install() -> None:
    connection = await asyncpg.connect(os.environ["PEERS_DATABASE"])
    await Queries.from_asyncpg_connection(connection).install()
    await connection.close()


if __name__ == "__main__":
    match sys.argv[1]:
        case "install":
            asyncio.run(_install())
        case "worker":
            asyncio.run(_work(int(sys.argv[2])))
        case _:
            asyncio.run(_submit())
