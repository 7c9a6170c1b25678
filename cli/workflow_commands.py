"""What each command about workflows does."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.console import Console

from cli.arguments import read_input, read_labels
from cli.cancelling import cancel_each
from cli.show_workflows import show_run, show_run_tasks, show_runs, show_story
from cli.workflow_board import board_on
from cli.workflows import ENDED, Run, Workflows


async def run_workflow(options: argparse.Namespace, workflows: Workflows, console: Console) -> int:
    """Run one command; its exit status.

    Raises:
        ApiError: The API refused, or could not be reached.
        InputError: What was typed makes no request.
    """
    match options.action:
        case "run":
            return await _run(options, workflows, console)
        case "watch":
            return await _watch(options.run_id, options, workflows, console)
        case "get":
            return await _show(options, workflows, console, (await workflows.find(options.run_id)).run)
        case "events":
            events = await workflows.events(options.run_id)
            _print_json(events) if options.json else show_story(console, events)
        case "tasks":
            tasks = await workflows.tasks(options.run_id, step=options.step, at_most=options.limit)
            _print_json(tasks) if options.json else show_run_tasks(console, tasks)
        case "list":
            filters = {"name": options.name, "status": options.status}
            runs = await workflows.runs(filters, at_most=options.limit)
            _print_json(runs) if options.json else show_runs(console, runs)
        case "cancel":
            return await _cancel(options, workflows, console)
    return 0


async def _run(options: argparse.Namespace, workflows: Workflows, console: Console) -> int:
    # A workflow may take no input at all; its schema, if it has one, says what is missing.
    nothing = options.input is None and not options.members
    started = await workflows.start(
        options.name,
        {} if nothing else read_input(options.members, options.input),
        idempotency_key=options.key,
        lane=options.lane,
        deadline=options.deadline,
        budget_usd=options.budget_usd,
        labels=read_labels(options.label),
        webhook=options.webhook,
    )
    if started.replayed:
        print("an earlier start with this key made the run", file=sys.stderr)
    if options.watch:
        return await _watch(started.run["id"], options, workflows, console)
    return await _show(options, workflows, console, started.run)


async def _show(options: argparse.Namespace, workflows: Workflows, console: Console, run: Run) -> int:
    if options.wait is not None and run["status"] not in ENDED:
        seen = await workflows.wait(run["id"], timeout_seconds=options.wait)
        if seen.run["status"] in ENDED and not options.json:
            seen = await workflows.settled(seen)
        run = seen.run
    _print_json(run) if options.json else show_run(console, run)
    if options.wait is None or run["status"] == "succeeded":
        return 0
    print(f"the run is {run['status']}", file=sys.stderr)
    return 1


async def _watch(run_id: str, options: argparse.Namespace, workflows: Workflows, console: Console) -> int:
    if options.json:
        return await _watch_as_json(run_id, workflows)
    run: Run | None = None
    with board_on(console) as board:
        async for seen in workflows.follow(run_id):
            board.show(seen)
            run = seen.run
    if run is None:
        return 1
    show_run(console, run)
    return 0 if run["status"] == "succeeded" else 1


async def _watch_as_json(run_id: str, workflows: Workflows) -> int:
    """A line for each change."""
    run: Run | None = None
    async for seen in workflows.follow(run_id):
        if seen.run != run:
            run = seen.run
            print(json.dumps(run, ensure_ascii=False), flush=True)
    return 0 if run is not None and run["status"] == "succeeded" else 1


async def _cancel(options: argparse.Namespace, workflows: Workflows, console: Console) -> int:
    answers, status = await cancel_each(options.run_ids, workflows.cancel)
    _print_json(answers) if options.json else show_runs(console, answers)
    return status


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
