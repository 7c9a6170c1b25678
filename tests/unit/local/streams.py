"""A stream in memory that answers as DynamoDB's API does, and counts what it is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

SHARD = "shard-1"


class MemoryStream:
    """A stream of one shard; also the client that reads it.

    Attributes:
        reads: How often records were asked for.
        trimmed: How many of the oldest records it no longer holds.
    """

    def __init__(self) -> None:
        self.reads = 0
        self.trimmed = 0
        self._records: list[dict[str, Any]] = []
        self._closed = False

    def append(self, *values: str, event_name: str = "INSERT") -> None:
        """Changes of the table."""
        for value in values:
            number = f"{len(self._records) + 1:03d}"
            change = {
                "SequenceNumber": number,
                "ApproximateCreationDateTime": datetime(2026, 1, 1, tzinfo=UTC),
                "NewImage": {"value": {"S": value}},
            }
            self._records.append({"eventName": event_name, "dynamodb": change})

    def close(self) -> None:
        """Nothing will come after this."""
        self._closed = True

    def describe_stream(self, **_: Any) -> dict[str, Any]:
        """As the API."""
        return {"StreamDescription": {"Shards": [{"ShardId": SHARD}]}}

    def get_shard_iterator(self, *, ShardIteratorType: str, **place: Any) -> dict[str, Any]:  # noqa: N803
        """As the API."""
        if ShardIteratorType == "TRIM_HORIZON":
            return {"ShardIterator": str(self.trimmed)}
        position = int(place["SequenceNumber"])
        if position < self.trimmed:
            raise lost_place()
        return {"ShardIterator": str(position)}

    def get_records(self, *, ShardIterator: str, Limit: int) -> dict[str, Any]:  # noqa: N803
        """As the API."""
        self.reads += 1
        position = int(ShardIterator)
        if position < self.trimmed:
            raise lost_place()
        page = self._records[position : position + Limit]
        end = position + len(page)
        over = self._closed and end == len(self._records)
        return {"Records": page, **({} if over else {"NextShardIterator": str(end)})}


def lost_place() -> ClientError:
    """What the API answers for a place that is no longer held."""
    return ClientError({"Error": {"Code": "TrimmedDataAccessException", "Message": "trimmed"}}, "GetRecords")


def values_of(records: Any) -> list[str]:
    """What was written, in order."""
    return [record["dynamodb"]["NewImage"]["value"]["S"] for record in records]
