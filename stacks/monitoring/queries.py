"""Questions to the logs that runbooks ask, saved so that nobody types them at night. They cost when they are run."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_logs as logs
from constructs import Construct


@dataclass(frozen=True)
class Query:
    """One question.

    Attributes:
        name: `<fleet>/<name>` is what it is saved as.
        functions: Whose logs it is asked of, without the fleet's name.
        lines: In the language of Logs Insights.
    """

    name: str
    functions: tuple[str, ...]
    lines: tuple[str, ...]


def queries(lanes: tuple[str, ...]) -> tuple[Query, ...]:
    """All there are."""
    workers = tuple(f"worker-{lane}" for lane in lanes)
    return (
        Query(
            "errors",
            ("api", "authorizer", *workers, "relay", "triage", "projector", "broadcaster", "webhook", "reconciler"),
            (
                "fields @timestamp, @log, message, code, task_id",
                'filter level = "ERROR" or level = "CRITICAL"',
                "sort @timestamp desc",
                "limit 200",
            ),
        ),
        Query(
            "what-fails",
            workers,
            (
                'filter level in ["WARNING", "ERROR"]',
                "stats count(*) as lines by message, code, agent",
                "sort lines desc",
            ),
        ),
        Query(
            "one-task",
            ("api", *workers, "relay", "triage", "projector", "broadcaster", "webhook", "reconciler"),
            ("fields @timestamp, @log, level, message", 'filter task_id = "tsk_"', "sort @timestamp asc", "limit 1000"),
        ),
    )


def save(scope: Construct, fleet: str, lanes: tuple[str, ...]) -> None:
    """Saves them under the fleet's name."""
    for query in queries(lanes):
        logs.CfnQueryDefinition(
            scope,
            f"Query-{query.name}",
            name=f"{fleet}/{query.name}",
            log_group_names=[f"/aws/lambda/{fleet}-{function}" for function in query.functions],
            query_string="\n| ".join(query.lines),
        )
