"""What each command does: asks the API, prints the answer, and says by a number how it went."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.console import Console

from cli.arguments import InputError, read_document, read_input, read_labels
from cli.cancelling import cancel_each
from cli.client import TERMINAL, FlotillaClient, Task
from cli.health import fleet_health, show_health
from cli.operations import CircuitMode, Operations, State
from cli.show import show_agents, show_events, show_task, show_tasks
from cli.show_operations import (
    show_circuits,
    show_dead_letters,
    show_groups,
    show_lanes,
    show_limits,
    show_redrive,
    show_state,
    show_webhooks,
)
from cli.usage import profile, usage
from cli.workflow_commands import run_workflow
from cli.workflows import Workflows


async def run(options: argparse.Namespace, client: FlotillaClient, console: Console) -> int:
    """Run one command; its exit status.

    Raises:
        ApiError: The API refused, or could not be reached.
        InputError: What was typed makes no request.
    """
    match options.command:
        case "submit":
            return await _submit(options, client, console)
        case "get":
            return await _task(options, client, console, await client.task(options.task_id))
        case "watch":
            return await _watch(options, client, console)
        case "events":
            events = await client.events(options.task_id)
            _print_json(events) if options.json else show_events(console, events)
        case "list":
            tasks = await client.tasks(
                {
                    "status": options.status,
                    "agent": options.agent,
                    "lane": options.lane,
                    "session": options.session,
                    "created_after": options.since,
                },
                at_most=options.limit,
            )
            _print_json(tasks) if options.json else show_tasks(console, tasks)
        case "cancel":
            return await _cancel(options, client, console)
        case "signal":
            payload = None if options.payload is None else read_document(options.payload, "--payload")
            task = await client.signal(options.task_id, options.name, payload)
            _print_json(task) if options.json else show_task(console, task)
        case "agents":
            agents = await client.agents()
            _print_json(agents) if options.json else show_agents(console, agents)
        case "verify":
            # Only this command needs the library; the others start without it.
            from cli.verify import verify

            return await verify(options, client)
        case "health":
            health = await fleet_health(client)
            _print_json(health) if options.json else show_health(console, health)
            return 0 if health["status"] == "healthy" else 1
        case "workflow":
            return await run_workflow(options, Workflows(client), console)
        case _:
            return await _operate(options, Operations(client), console)
    return 0


async def _operate(options: argparse.Namespace, operations: Operations, console: Console) -> int:
    match options.command:
        case "lanes":
            lanes = await operations.lanes()
            _print_json(lanes) if options.json else show_lanes(console, lanes)
        case "webhooks":
            endpoints = await operations.webhooks()
            _print_json(endpoints) if options.json else show_webhooks(console, endpoints)
        case "pause" | "resume":
            if (options.scope == "fleet") == bool(options.name):
                raise InputError("say which: `fleet`, `lane NAME` or `agent NAME`")
            state: State = "paused" if options.command == "pause" else "active"
            answer = await operations.set_state(options.scope, options.name, state, options.reason)
            _print_json(answer) if options.json else show_state(console, options.scope, options.name, state)
        case "circuits":
            await _circuits(options, operations, console)
        case "limits":
            await _limits(options, operations, console)
        case "usage":
            return await usage(options, operations, console)
        case "profile":
            return await profile(options, operations, console)
        case "dlq":
            return await _dead_letters(options, operations, console)
    return 0


async def _circuits(options: argparse.Namespace, operations: Operations, console: Console) -> None:
    if options.action is None:
        circuits = await operations.circuits()
        _print_json(circuits) if options.json else show_circuits(console, circuits)
        return
    modes: dict[str, CircuitMode] = {"open": "open", "close": "closed", "auto": "auto"}
    circuit = await operations.force_circuit(options.name, modes[options.action], options.reason)
    _print_json(circuit) if options.json else show_circuits(console, [circuit])


async def _limits(options: argparse.Namespace, operations: Operations, console: Console) -> None:
    match options.action:
        case "set":
            limit = await operations.set_limit(options.name, options.rate_per_minute, options.burst)
            _print_json(limit) if options.json else show_limits(console, [limit])
        case "reset":
            await operations.reset_limit(options.name)
            _print_json({"name": options.name}) if options.json else print(f"{options.name} is as it is declared")
        case _:
            limits = await operations.limits()
            _print_json(limits) if options.json else show_limits(console, limits)


async def _submit(options: argparse.Namespace, client: FlotillaClient, console: Console) -> int:
    submitted = await client.submit(
        options.agent,
        read_input(options.members, options.input),
        idempotency_key=options.key,
        lane=options.lane,
        session=options.session,
        max_attempts=options.max_attempts,
        delay_seconds=options.delay,
        run_at=options.at,
        deadline=options.deadline,
        budget_usd=options.budget_usd,
        labels=read_labels(options.label),
        webhook=options.webhook,
    )
    if submitted.replayed:
        print("an earlier submit with this key made the task", file=sys.stderr)
    return await _task(options, client, console, submitted.task)


async def _task(options: argparse.Namespace, client: FlotillaClient, console: Console, task: Task) -> int:
    if options.wait is not None and task["status"] not in TERMINAL:
        task = await client.wait(task["id"], timeout_seconds=options.wait)
    _print_json(task) if options.json else show_task(console, task)
    if options.wait is None or task["status"] == "succeeded":
        return 0
    print(f"the task is {task['status']}", file=sys.stderr)
    return 1


async def _watch(options: argparse.Namespace, client: FlotillaClient, console: Console) -> int:
    async for event in client.follow(options.task_id):
        if options.json:
            print(json.dumps(event, ensure_ascii=False), flush=True)
        else:
            show_events(console, [event])
    task = await client.task(options.task_id)
    if not options.json:
        show_task(console, task)
    return 0 if task["status"] == "succeeded" else 1


async def _cancel(options: argparse.Namespace, client: FlotillaClient, console: Console) -> int:
    answers, status = await cancel_each(options.task_ids, client.cancel)
    _print_json(answers) if options.json else show_tasks(console, answers)
    return status


async def _dead_letters(options: argparse.Namespace, operations: Operations, console: Console) -> int:
    match options.action:
        case "list":
            filters = {"agent": options.agent, "cause": options.cause}
            letters = await operations.dead_letters(filters, at_most=options.limit)
            _print_json(letters) if options.json else show_dead_letters(console, letters)
        case "show":
            letters = await operations.dead_letters({"cause": options.cause}, at_most=options.limit)
            _print_json(letters) if options.json else show_dead_letters(console, letters, whole=True)
        case "groups":
            groups = await operations.dead_letter_groups()
            _print_json(groups) if options.json else show_groups(console, groups)
        case "redrive":
            return await _redrive(options, operations, console)
    return 0


async def _redrive(options: argparse.Namespace, operations: Operations, console: Console) -> int:
    wanted = _to_redrive(options)
    items: list[Any] = []
    answers = operations.redrive(wanted, dry_run=options.dry_run, rate_per_second=options.rate)
    async for item in answers:
        items.append(item)
        if not options.json:
            show_redrive(console, item)
    if options.json:
        _print_json(items)
    failed = sum(item["outcome"] in ("failed", "not_found") for item in items)
    if not options.json:
        done = sum(item["outcome"] in ("redriven", "would_redrive") for item in items)
        print(f"{done} {'would be' if options.dry_run else 'were'} redriven, of {len(items)}", file=sys.stderr)
    return 1 if failed else 0


def _to_redrive(options: argparse.Namespace) -> dict[str, Any]:
    filters = {name: value for name in ("agent", "cause") if (value := getattr(options, name)) is not None}
    chosen = [bool(options.task_ids), bool(filters), options.all]
    if sum(chosen) != 1:
        raise InputError("say which: task ids, or --agent and --cause, or --all")
    if options.input is None:
        return {"ids": options.task_ids} if options.task_ids else {"filter": filters}
    if len(options.task_ids) != 1:
        raise InputError("--input corrects the input of one task: give its id and no other")
    return {"ids": options.task_ids, "input": read_document(options.input)}


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
