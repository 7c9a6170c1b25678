"""The command: `python -m cli submit | get | events | agents`.

Says results on standard output and everything else on standard error. Exit status: 0 it went well, 1 it did not (the
API refused, or the task that was waited for did not succeed), 2 it was called wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from httpx import AsyncBaseTransport
from rich.console import Console

from cli.arguments import InputError, read_input
from cli.client import TERMINAL, ApiError, FlotillaClient, Task
from cli.connection import Connection, NoConnectionError, find_connection
from cli.show import show_agents, show_events, show_task

_WAIT_SECONDS = 60.0


def parser() -> argparse.ArgumentParser:
    """What can be typed."""
    top = argparse.ArgumentParser(
        prog="python -m cli",
        description="Speaks to a Flotilla deployment: the one that FLOTILLA_API_URL and FLOTILLA_API_KEY name, "
        "else the local engine.",
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print what the API answered")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    submit = commands.add_parser("submit", parents=[shared], help="submit a task")
    submit.add_argument("agent", help="name of the agent")
    submit.add_argument("members", nargs="*", metavar="NAME=VALUE", help="NAME=TEXT, NAME=@FILE or NAME:=JSON")
    submit.add_argument("--input", metavar="JSON", help="the whole input as JSON, or @FILE that holds it")
    submit.add_argument("--key", metavar="KEY", help="idempotency key: the same key and input are the same task")
    submit.add_argument("--lane", help="priority (default: the agent's own)")
    submit.add_argument("--session", help="tasks of one session run one after the other")
    submit.add_argument("--max-attempts", type=int, metavar="N", help="(default: the agent's own)")
    _add_wait(submit)

    get = commands.add_parser("get", parents=[shared], help="show a task")
    get.add_argument("task_id")
    _add_wait(get)

    events = commands.add_parser("events", parents=[shared], help="show a task's log")
    events.add_argument("task_id")

    commands.add_parser("agents", parents=[shared], help="list the deployed agents")
    return top


def _add_wait(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--wait",
        type=float,
        nargs="?",
        const=_WAIT_SECONDS,
        metavar="SECONDS",
        help=f"wait until the task ends (default: {_WAIT_SECONDS:.0f} s)",
    )


async def run(options: argparse.Namespace, client: FlotillaClient, console: Console) -> int:
    """Run one command; its exit status.

    Raises:
        ApiError: The API refused, or could not be reached.
        InputError: The input that was typed makes none.
    """
    match options.command:
        case "submit":
            submitted = await client.submit(
                options.agent,
                read_input(options.members, options.input),
                idempotency_key=options.key,
                lane=options.lane,
                session=options.session,
                max_attempts=options.max_attempts,
            )
            if submitted.replayed:
                print("an earlier submit with this key made the task", file=sys.stderr)
            return await _task(options, client, console, submitted.task)
        case "get":
            return await _task(options, client, console, await client.task(options.task_id))
        case "events":
            events = await client.events(options.task_id)
            _print_json(events) if options.json else show_events(console, events)
        case "agents":
            agents = await client.agents()
            _print_json(agents) if options.json else show_agents(console, agents)
    return 0


async def _task(options: argparse.Namespace, client: FlotillaClient, console: Console, task: Task) -> int:
    if options.wait is not None and task["status"] not in TERMINAL:
        task = await client.wait(task["id"], timeout_seconds=options.wait)
    _print_json(task) if options.json else show_task(console, task)
    if options.wait is None or task["status"] == "succeeded":
        return 0
    print(f"the task is {task['status']}", file=sys.stderr)
    return 1


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


async def _connected(options: argparse.Namespace, connection: Connection, transport: AsyncBaseTransport | None) -> int:
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
