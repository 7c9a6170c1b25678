"""The records of the `events` table's stream, as Lambda hands them to a function."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from flotilla.dynamo.event_log import from_item
from flotilla.errors import CorruptLogError
from flotilla.events import Event


def appended(record: Mapping[str, Any]) -> Event | None:
    """The event that a record says was appended.

    None for what is no append: an event that was dropped at the end of its retention, or is kept for longer.

    Raises:
        RetryableError: A later version wrote the event.
        CorruptLogError: No version can have written it.
    """
    if record["eventName"] != "INSERT":
        return None
    try:
        item = {name: _decoded(value) for name, value in record["dynamodb"]["NewImage"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CorruptLogError(f"a record that holds no event: {type(error).__name__}") from error
    return from_item(item)


def sequence_number(record: Mapping[str, Any]) -> str:
    """By which a partial batch response names the record."""
    return str(record["dynamodb"]["SequenceNumber"])


def _decoded(value: dict[str, Any]) -> dict[str, Any]:
    """An attribute as the client libraries give it: in JSON, bytes are base64."""
    return {"B": base64.b64decode(value["B"], validate=True)} if "B" in value else value
