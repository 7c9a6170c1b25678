"""What can be typed: every command, its arguments and its help."""

from __future__ import annotations

import argparse
import math

from cli.plan_parser import add_plan
from cli.usage import add_commands as add_usage

_WAIT_SECONDS = 60.0
_LIST_LIMIT = 20
_STATUSES = (
    "scheduled",
    "queued",
    "running",
    "retrying",
    "parked",
    "waiting",
    "succeeded",
    "dead_lettered",
    "cancelled",
    "expired",
)
_RUN_STATUSES = ("running", "succeeded", "failed", "cancelled", "expired")


def _dollars(text: str) -> float:
    amount = float(text)
    if not 0 < amount < math.inf:
        raise argparse.ArgumentTypeError("must be above 0")
    return amount


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="flotilla",
        description="Speaks to a Flotilla deployment: the one that FLOTILLA_API_URL and FLOTILLA_API_KEY name, "
        "else the local engine.",
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print what the API answered")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_tasks(commands, shared)
    _add_workflow(commands, shared)
    _add_operations(commands, shared)
    add_usage(commands, shared)
    _add_rebuild(commands)
    add_plan(commands)
    return top


def _add_tasks(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    submit = commands.add_parser("submit", parents=[shared], help="submit a task")
    submit.add_argument("agent", help="name of the agent")
    _add_input(submit)
    submit.add_argument("--key", metavar="KEY", help="idempotency key: the same key and input are the same task")
    submit.add_argument("--lane", help="priority (default: the agent's own)")
    submit.add_argument("--session", help="tasks of one session run one after the other")
    submit.add_argument("--max-attempts", type=int, metavar="N", help="(default: the agent's own)")
    when = submit.add_mutually_exclusive_group()
    when.add_argument("--delay", type=float, metavar="SECONDS", help="run it no sooner than after so long")
    when.add_argument("--at", metavar="TIME", help="run it no sooner than then, e.g. 2030-01-31T12:00:00Z")
    submit.add_argument("--deadline", metavar="TIME", help="do not start it after this time")
    submit.add_argument(
        "--budget-usd",
        type=_dollars,
        metavar="DOLLARS",
        help="dollars that its model calls may cost (default: the agent's own)",
    )
    submit.add_argument("--label", action="append", default=[], metavar="NAME=TEXT", help="kept and shown with it")
    submit.add_argument("--webhook", metavar="ID|URL", help="a registered endpoint that is told how it ends")
    _add_wait(submit)

    get = commands.add_parser("get", parents=[shared], help="show a task")
    get.add_argument("task_id")
    _add_wait(get)

    watch = commands.add_parser("watch", parents=[shared], help="show a task's log as it is written, until it ends")
    watch.add_argument("task_id")

    events = commands.add_parser("events", parents=[shared], help="show a task's log")
    events.add_argument("task_id")

    listing = commands.add_parser("list", parents=[shared], help="list tasks, newest first")
    listing.add_argument("--status", choices=_STATUSES, metavar="STATUS", help=", ".join(_STATUSES))
    listing.add_argument("--agent")
    listing.add_argument("--lane")
    listing.add_argument("--session")
    listing.add_argument("--since", metavar="TIME", help="created at or after it, e.g. 2030-01-31T12:00:00Z")
    _add_limit(listing)

    cancel = commands.add_parser("cancel", parents=[shared], help="cancel tasks: none of them commits a result")
    cancel.add_argument("task_ids", nargs="+", metavar="task_id")

    signal = commands.add_parser("signal", parents=[shared], help="give a task the signal that it waits for")
    signal.add_argument("task_id")
    signal.add_argument("name", help="as the task waits for it, e.g. decision")
    signal.add_argument("--payload", metavar="JSON", help="what comes with it, or @FILE that holds it (default: null)")

    verify = commands.add_parser(
        "verify", parents=[shared], help="check that logs are whole: no event altered, left out or put in"
    )
    verify.add_argument("task_ids", nargs="*", metavar="task_id")
    verify.add_argument("--archive", metavar="FILE", help="check every log in an object of the archive")


def _add_workflow(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser
) -> None:
    workflow = commands.add_parser("workflow", help="run workflows, and see how they go")
    actions = workflow.add_subparsers(dest="action", required=True, metavar="ACTION")

    run = actions.add_parser("run", parents=[shared], help="start a run of a workflow")
    run.add_argument("name", help="of the workflow")
    _add_input(run)
    run.add_argument("--key", metavar="KEY", help="idempotency key: the same key and input are the same run")
    run.add_argument("--lane", help="priority of its tasks (default: what the definition says)")
    run.add_argument("--deadline", metavar="TIME", help="start none of its tasks after this time")
    run.add_argument("--budget-usd", type=_dollars, metavar="DOLLARS", help="what all its model calls may cost")
    run.add_argument("--label", action="append", default=[], metavar="NAME=TEXT", help="kept and shown with its tasks")
    run.add_argument("--webhook", metavar="ID|URL", help="a registered endpoint that is told how it ends")
    until = run.add_mutually_exclusive_group()
    until.add_argument("--watch", action="store_true", help="show its steps as they go, until it ends")
    _add_wait(until)

    watch = actions.add_parser("watch", parents=[shared], help="show a run's steps as they go, until it ends")
    watch.add_argument("run_id")

    get = actions.add_parser("get", parents=[shared], help="show a run with its steps")
    get.add_argument("run_id")
    _add_wait(get)

    events = actions.add_parser("events", parents=[shared], help="show what happened in a run and in all its tasks")
    events.add_argument("run_id")

    tasks = actions.add_parser("tasks", parents=[shared], help="list the tasks of a run")
    tasks.add_argument("run_id")
    tasks.add_argument("--step", metavar="NAME", help="of this step only")
    _add_limit(tasks)

    listing = actions.add_parser("list", parents=[shared], help="list runs, newest first")
    listing.add_argument("--name", help="of the workflow")
    listing.add_argument("--status", choices=_RUN_STATUSES, metavar="STATUS", help=", ".join(_RUN_STATUSES))
    _add_limit(listing)

    cancel = actions.add_parser("cancel", parents=[shared], help="cancel runs, and all their tasks with them")
    cancel.add_argument("run_ids", nargs="+", metavar="run_id")


def _add_operations(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser
) -> None:
    commands.add_parser("agents", parents=[shared], help="list the deployed agents")
    commands.add_parser("health", parents=[shared], help="show how the fleet is; exit status 1 if it is not healthy")
    commands.add_parser("lanes", parents=[shared], help="show each lane: depth, in flight, delayed, dead")
    commands.add_parser("webhooks", parents=[shared], help="list the endpoints that are told of transitions")
    for name, help_text in (
        ("pause", "let nothing more start; what is accepted waits and is not lost"),
        ("resume", "end a pause"),
    ):
        command = commands.add_parser(name, parents=[shared], help=help_text)
        command.add_argument("scope", choices=("fleet", "lane", "agent"))
        command.add_argument("name", nargs="?", default="", help="of the lane or agent")
        command.add_argument("--reason", default="", help="why; shown to whoever asks")

    _add_protection(commands, shared)

    dlq = commands.add_parser("dlq", help="dead letters: see why tasks failed, and give them a fresh start")
    actions = dlq.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", parents=[shared], help="list dead letters, newest first")
    _add_dead_filters(listing)
    _add_limit(listing)
    actions.add_parser("groups", parents=[shared], help="count dead letters by agent and cause")
    show = actions.add_parser("show", parents=[shared], help="list the whole of one cause, with each error's words")
    show.add_argument("cause", help="fingerprint or text of the cause, as `groups` shows it")
    _add_limit(show)
    redrive = actions.add_parser("redrive", parents=[shared], help="give dead-lettered tasks a fresh start")
    redrive.add_argument("task_ids", nargs="*", metavar="task_id", help="these; or all that --agent and --cause name")
    _add_dead_filters(redrive)
    redrive.add_argument("--all", action="store_true", help="every dead letter there is")
    redrive.add_argument("--input", metavar="JSON", help="corrected input for one task, or @FILE that holds it")
    redrive.add_argument("--dry-run", action="store_true", help="only say what would be done")
    redrive.add_argument("--rate", type=float, metavar="N", help="at most N tasks a second")


def _add_protection(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser
) -> None:
    # An action has `--json` too, and must not take back what was said before it.
    also = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    also.add_argument("--json", action="store_true", help="print what the API answered")

    text = "show the circuits of integrations and models, or force one"
    circuits = commands.add_parser("circuits", parents=[shared], help=text)
    actions = circuits.add_subparsers(dest="action", metavar="ACTION")
    for name, help_text in (
        ("open", "hold calls back until further notice; tasks wait and are not lost"),
        ("close", "let calls through until further notice, however they fail"),
        ("auto", "leave it to itself again"),
    ):
        action = actions.add_parser(name, parents=[also], help=help_text)
        action.add_argument("name", help="e.g. integration#crm, or crm")
        action.add_argument("--reason", help="why; shown to whoever asks")

    limits = commands.add_parser("limits", parents=[shared], help="show the limits, or set one without a deployment")
    actions = limits.add_subparsers(dest="action", metavar="ACTION")
    which = "e.g. client, tenant#acme, agent#document.analyze, integration#crm"
    action = actions.add_parser("set", parents=[also], help="set a limit, whatever is declared")
    action.add_argument("name", help=which)
    action.add_argument("--rate-per-minute", type=int, required=True, metavar="N", help="how many a minute")
    action.add_argument("--burst", type=int, required=True, metavar="N", help="how many at once, after a rest")
    action = actions.add_parser("reset", parents=[also], help="go back to what is declared")
    action.add_argument("name", help=which)


def _add_rebuild(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "make the read model again from the logs, live and archived, while everything goes on"
    rebuild = commands.add_parser(
        "rebuild",
        help=text,
        description=f"{text[0].upper()}{text[1:]}. Reads and writes the tables themselves: on AWS with the AWS "
        "credentials and region of your environment, and not with an API key.",
    )
    rebuild.add_argument("--fleet", metavar="NAME", help="name of the fleet (default: that of fleet.toml)")
    rebuild.add_argument("--live", action="store_true", help="leave the archive alone: only what the table still has")
    rebuild.add_argument(
        "--rate", type=float, default=2000.0, metavar="N", help="read at most N events a second (default: 2000)"
    )
    rebuild.add_argument("--json", action="store_true", help="print the tally as JSON")


def _add_input(command: argparse.ArgumentParser) -> None:
    command.add_argument("members", nargs="*", metavar="NAME=VALUE", help="NAME=TEXT, NAME=@FILE or NAME:=JSON")
    command.add_argument("--input", metavar="JSON", help="the whole input: JSON, @FILE that holds it, or - to read it")


def _add_wait(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--wait",
        type=float,
        nargs="?",
        const=_WAIT_SECONDS,
        metavar="SECONDS",
        help=f"wait until it ends (default: {_WAIT_SECONDS:.0f} s)",
    )


def _add_limit(command: argparse.ArgumentParser) -> None:
    command.add_argument("--limit", type=int, default=_LIST_LIMIT, metavar="N", help="(default: %(default)s)")


def _add_dead_filters(command: argparse.ArgumentParser) -> None:
    command.add_argument("--agent")
    command.add_argument("--cause", help="fingerprint or text, as `groups` shows it")
