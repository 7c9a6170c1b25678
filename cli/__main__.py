"""The command: `flotilla`, or `python -m cli`.

Says results on standard output and everything else on standard error. Exit status: 0 it went well, 1 it did not (the
API refused, a task that was waited for did not succeed, a log is not whole), 2 it was called wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from httpx import AsyncBaseTransport
from rich.console import Console

from cli.arguments import InputError
from cli.calls import ApiError
from cli.client import FlotillaClient
from cli.commands import run
from cli.connection import Connection, NoConnectionError, find_connection
from cli.parser import parser


async def _offline(options: argparse.Namespace) -> int:
    from cli.verify import verify

    return await verify(options, None)


async def _connected(options: argparse.Namespace, connection: Connection, transport: AsyncBaseTransport | None) -> int:
    if options.command == "rebuild":
        # Speaks to the tables and not to the API; and of all commands only it needs an AWS client.
        from cli.rebuild import rebuild

        return await rebuild(options, connection)
    async with FlotillaClient(connection, transport=transport) as client:
        return await run(options, client, Console())


def main(
    arguments: Sequence[str],
    *,
    connection: Connection | None = None,
    transport: AsyncBaseTransport | None = None,
) -> int:
    """Run what was typed; its exit status.

    Args:
        arguments: What was typed.
        connection: The deployment; by default the one that is found.
        transport: Carries the requests; the network by default.
    """
    options = parser().parse_args(arguments)
    try:
        if options.command == "plan":
            # Speaks to nothing, and of all commands only it reads the settings.
            from cli.plan import run_plan

            return run_plan(options)
        if options.command == "verify" and options.archive and not options.task_ids:
            return asyncio.run(_offline(options))  # an auditor has a file, and no deployment to speak to
        return asyncio.run(_connected(options, connection or find_connection(), transport))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ApiError, NoConnectionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
