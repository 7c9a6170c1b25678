"""Reads a function's answer to a batch as Lambda does: which items failed.

Sources: "Implementing partial batch responses" for SQS and for DynamoDB streams in the AWS Lambda developer guide. What
Lambda takes for a failure of the whole batch is one here; nothing is guessed in favour of success.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

REPORT_ITEM_FAILURES = "ReportBatchItemFailures"


def failed_items(answer: Any, items: Sequence[str], *, reports_item_failures: bool) -> frozenset[str]:
    """The identifiers in `items` that failed, given what the function returned.

    Args:
        answer: The decoded payload of an invocation that raised no error.
        items: The batch's identifiers: message ids, or sequence numbers.
        reports_item_failures: Whether the mapping asks for partial batch responses; if not, an answer is a success.

    Returns:
        Nothing for a success: null, no list, an empty list, a null list. All of `items` where the answer is no such
        report, or names an item by an empty, null or unknown identifier.
    """
    everything = frozenset(items)
    if not reports_item_failures or answer is None:
        return frozenset()
    if not isinstance(answer, dict):
        return everything
    failures = answer.get("batchItemFailures")
    if failures is None:
        return frozenset()
    if not isinstance(failures, list):
        return everything
    failed = {_identifier(entry) for entry in failures}
    return everything.intersection(failed) if everything.issuperset(failed) else everything


def _identifier(entry: Any) -> str | None:
    identifier = entry.get("itemIdentifier") if isinstance(entry, dict) else None
    return identifier if isinstance(identifier, str) else None
