"""Sends every document of a folder through a deployed fleet and shows what came back: `python -m cli.demo`.

Ends with 0 only if every document succeeded and every column of its row was found.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from httpx import AsyncBaseTransport
from rich.console import Console

from cli.client import ApiError, FlotillaClient
from cli.connection import Connection, NoConnectionError, find_connection
from cli.corpus import DOCUMENTS, Document, read_corpus
from cli.demo_progress import Board, board_on
from cli.demo_report import Totals, print_report
from cli.demo_rows import Row, refused_row, row_of
from cli.next_steps import next_steps

AGENT = "document.analyze"

_HOLD_SECONDS = 2
"""Short, so that a slow document does not keep the bar from showing those that are done."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What a run found.

    Attributes:
        wall_seconds: From the first submit to the last result.
        repeats: API calls that had to be repeated.
    """

    rows: list[Row]
    wall_seconds: float
    repeats: int


async def run_demo(
    client: FlotillaClient, documents: Sequence[Document], *, run_id: str, timeout_seconds: float, board: Board
) -> DemoRun:
    """Submit all documents at once and wait for all of them.

    Args:
        client: Bounds how many calls are made at once.
        documents: What to submit.
        run_id: Makes the tasks of this run others than those of the last.
        timeout_seconds: How long to wait for one document.
        board: Is told how it goes.
    """

    async def analyze(document: Document) -> Row:
        try:
            submitted = await client.submit(
                AGENT, {"text": document.text, "name": document.name}, idempotency_key=document.idempotency_key(run_id)
            )
            board.submitted()
            task = await client.wait(submitted.task["id"], timeout_seconds=timeout_seconds, hold_seconds=_HOLD_SECONDS)
            row = row_of(document, task)
        except ApiError as error:
            row = refused_row(document, str(error))
        board.finished(row)
        return row

    # The client hands out its connections in the order they are asked for: all are submitted before any is waited for.
    began = time.monotonic()
    rows = await asyncio.gather(*(analyze(document) for document in documents))
    return DemoRun(list(rows), time.monotonic() - began, client.repeats)


def main(
    arguments: Sequence[str],
    *,
    connection: Connection | None = None,
    transport: AsyncBaseTransport | None = None,
) -> int:
    """Run the demo; its exit status.

    Args:
        arguments: What was typed.
        connection: The deployment; by default the one that is found.
        transport: Carries the requests; the network by default.
    """
    parser = argparse.ArgumentParser(prog="python -m cli.demo", description="Runs documents through a deployed fleet.")
    parser.add_argument("--documents", type=Path, default=DOCUMENTS, help="folder of .txt, .md and .rst files")
    parser.add_argument("--connections", type=int, default=6, help="calls to the API at once (default: 6)")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds to wait for a document (default: 180)")
    options = parser.parse_args(arguments)
    try:
        connection = connection or find_connection()
        documents = read_corpus(options.documents)
        if not documents:
            raise FileNotFoundError(f"there are no documents in {options.documents}")
        return asyncio.run(_demo(_console(), connection, transport, documents, options))
    except (NoConnectionError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; what was submitted goes on without us", file=sys.stderr)
        return 130


async def _demo(
    console: Console,
    connection: Connection,
    transport: AsyncBaseTransport | None,
    documents: Sequence[Document],
    options: argparse.Namespace,
) -> int:
    heading = f"\n[bold]{len(documents)} documents[/] to [bold]{AGENT}[/] at {connection.api_url}"
    console.print(heading, highlight=False, soft_wrap=True)
    async with FlotillaClient(connection, max_connections=options.connections, transport=transport) as client:
        with board_on(console, len(documents)) as board:
            run = await run_demo(
                client,
                documents,
                run_id=secrets.token_hex(8),
                timeout_seconds=options.timeout,
                board=board,
            )
    print_report(console, run.rows, Totals.of(run.rows, wall_seconds=run.wall_seconds, repeats=run.repeats))
    shortest = min((row for row in run.rows if row.complete), key=lambda row: row.characters, default=None)
    example = shortest.task_id if shortest else None
    console.print(next_steps(connection, AGENT, example, _python()), soft_wrap=True, markup=False, highlight=False)
    return 0 if all(row.complete for row in run.rows) else 1


def _python() -> str:
    """This interpreter, as it is called from here."""
    return os.path.relpath(sys.executable)


def _console() -> Console:
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding shows a mark for what it has no character for, instead of failing.
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    return Console()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
