"""Flotilla's submitter: one POST to the HTTP API a task, eight at once, in the project's own environment."""

from __future__ import annotations

import asyncio
import os
import secrets

from benchmarks.peers.programs.submitting import serve_async
from benchmarks.peers.programs.work import IO
from cli.client import FlotillaClient
from cli.connection import Connection


async def _main() -> None:
    connection = Connection(os.environ["PEERS_API"], os.environ["PEERS_KEY"], os.environ["PEERS_KEY"])
    async with FlotillaClient(connection, patience_seconds=60.0) as client:

        async def submit(workload: str, key: str) -> str:
            agent, value = (
                ("diagnostics.effect", {"url": os.environ["PEERS_SINK"]})
                if workload == IO
                else ("diagnostics.echo", {"value": key})
            )
            submitted = await client.submit(agent, value, idempotency_key=secrets.token_hex(8), lane="standard")
            return submitted.task["id"]

        await serve_async(submit)


if __name__ == "__main__":
    asyncio.run(_main())
