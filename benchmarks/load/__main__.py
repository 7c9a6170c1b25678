"""`python -m benchmarks.load`: sends tasks to a deployment at a fixed rate and holds it to its word.

By default to the local engine; to any other with `--url` and `--key`, where it must be told that this costs money. Exit
status: 0 nothing was lost or doubled, 1 something was, 2 it was called wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load.report import markdown
from benchmarks.load.run import Plan, Result, run
from benchmarks.report import machine
from cli.connection import Connection, NoConnectionError, find_connection

_MOST_A_SECOND = 2000.0
_LONGEST_SECONDS = 3600.0
_MOST_TASKS = 200_000
_DOLLARS_A_TASK = 5.45e-6
"""Of a small task, what it calls aside: the total of benchmarks/cost."""


def parser() -> argparse.ArgumentParser:
    """What can be typed."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.load", description=(__doc__ or "").partition("\n\n")[2])
    made.add_argument("--url", help="of the deployment (default: as the command `flotilla` finds it)")
    made.add_argument("--key", help="API key with the scopes tasks:write and tasks:read")
    made.add_argument("--agent", default="flotilla.canary", help="(default: %(default)s, which every fleet has)")
    made.add_argument("--input", default='{"value": 1}', metavar="JSON", help="of each task (default: %(default)s)")
    made.add_argument("--lane", help="(default: the agent's own)")
    made.add_argument(
        "--rate", type=float, action="append", metavar="N", help="tasks a second (default: 10); more than one in turn"
    )
    made.add_argument("--seconds", type=float, default=10.0, metavar="S", help="(default: %(default)s)")
    made.add_argument("--arrivals", choices=("constant", "poisson"), default="poisson", help="(default: %(default)s)")
    made.add_argument("--connections", type=int, default=64, metavar="N", help="at the most (default: %(default)s)")
    made.add_argument("--patience", type=float, default=120.0, metavar="S", help="for tasks to end (default: 120)")
    made.add_argument("--logs", type=int, default=100, metavar="N", help="read event by event (default: %(default)s)")
    made.add_argument("--replays", type=int, default=20, metavar="N", help="keys sent again (default: %(default)s)")
    made.add_argument("--seed", type=int, default=1, help="of the arrivals and the samples (default: %(default)s)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write the report, besides printing it")
    made.add_argument(
        "--yes-this-costs-money", action="store_true", help="needed for a deployment that is not on this machine"
    )
    return made


def plans(options: argparse.Namespace) -> list[Plan]:
    """What was asked for.

    Raises:
        ValueError: It is no request, or more than is reasonable.
    """
    body = {"agent": options.agent, "input": json.loads(options.input)}
    if options.lane:
        body["lane"] = options.lane
    rates = options.rate or [10.0]
    if not all(0 < rate <= _MOST_A_SECOND for rate in rates):
        raise ValueError(f"--rate: above 0, at most {_MOST_A_SECOND:g}")
    if not 0 < options.seconds <= _LONGEST_SECONDS:
        raise ValueError(f"--seconds: above 0, at most {_LONGEST_SECONDS:g}")
    if not 1 <= options.connections <= 1000:
        raise ValueError("--connections: from 1 to 1000")
    if (tasks := sum(rates) * options.seconds) > _MOST_TASKS:
        raise ValueError(f"{tasks:,.0f} tasks; at most {_MOST_TASKS:,} in one go")
    return [
        Plan(
            body=body,
            rate=rate,
            seconds=options.seconds,
            arrivals=options.arrivals,
            connections=options.connections,
            patience_seconds=options.patience,
            logs=options.logs,
            replays=options.replays,
            seed=options.seed,
        )
        for rate in rates
    ]


def deployment(options: argparse.Namespace) -> Connection:
    """Where it goes.

    Raises:
        ValueError: Only one of URL and key was given, or it would cost money and nobody said so.
        NoConnectionError: None was given, and there is none.
    """
    if bool(options.url) != bool(options.key):
        raise ValueError("--url and --key go together")
    found = (
        Connection(options.url.rstrip("/"), options.key, options.key, from_environment=True)
        if options.url
        else find_connection()
    )
    if not found.on_this_machine and not options.yes_this_costs_money:
        tasks = sum(options.rate or [10.0]) * options.seconds
        raise ValueError(
            f"{found.api_url} is not on this machine: some {tasks:,.0f} tasks for about "
            f"${tasks * _DOLLARS_A_TASK:,.2f} and what their agent costs; say --yes-this-costs-money"
        )
    return found


def main(arguments: Sequence[str]) -> int:
    """Run what was typed; its exit status."""
    options = parser().parse_args(arguments)
    try:
        wanted, connection = plans(options), deployment(options)
    except (ValueError, NoConnectionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    results: list[Result] = []
    for plan in wanted:
        print(f"{plan.rate:g} a second for {plan.seconds:g} s to {connection.api_url}", file=sys.stderr)
        results.append(asyncio.run(run(connection.api_url, connection.api_key, plan)))
    text = f"Sent from: {machine()}.\n\n{markdown(results)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps([each.to_json() for each in results], indent=1), encoding="utf-8")
    return 0 if all(each.reconciled.kept for each in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
