"""Token buckets in the `control` table: one item for each, and one conditional update for each draw.

What a draw may go by is in its condition, and what it found comes back with either answer: a bucket is read only when a
process meets it for the first time. Most draws are additions whose conditions hold whatever else was added meanwhile:
processes do not get in each other's way.

Failure policy: an error to the caller. What happens without an answer is decided by who asks (`Limiter`: work goes on).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.limit_ports import Drawn
from flotilla.ports import RunSync
from flotilla.primitives.token_bucket import Bucket, Draw, Make, Rebase, Shift, Spill

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PARTITION_PREFIX = "BUCKET#"
SORT_KEY = "BUCKET"

_WHOLE = (
    "SET drawn = :drawn, rate_per_minute = :rate, based_ms = :based, clock_ms = :clock, writes = :writes, "
    "expires_at = :expires"
)
_PART = "clock_ms = :clock, writes = writes + :one, expires_at = :expires"


class DynamoBuckets:
    """`BucketStore` over the `control` table."""

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def look(self, name: str) -> Drawn:
        """See `BucketStore.look`."""
        return await self._run_sync(self._look, name)

    async def draw(self, name: str, draw: Draw, expires_at: int) -> Drawn:
        """See `BucketStore.draw`."""
        return await self._run_sync(self._draw, name, draw, expires_at)

    def _look(self, name: str) -> Drawn:
        try:
            # What is a moment old is put right by the condition of the draw that follows.
            answer = self._client.get_item(TableName=self._table, Key=_key(name), ConsistentRead=False)
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error
        return Drawn(done=False, before=_bucket(answer.get("Item")))

    def _draw(self, name: str, draw: Draw, expires_at: int) -> Drawn:
        update, condition, values = _expressions(draw)
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=_key(name),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues={key: {"N": str(value)} for key, value in values.items()}
                | {":expires": {"N": str(expires_at)}},
                ReturnValues="ALL_OLD",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            response: dict[str, Any] = dict(refusal.response)
            repeated = response.get("ResponseMetadata", {}).get("RetryAttempts", 0)
            return Drawn(done=False, before=_bucket(response.get("Item")), surely=repeated == 0)
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error
        return Drawn(done=True, before=_bucket(answer.get("Attributes")))


def _expressions(draw: Draw) -> tuple[str, str, dict[str, int]]:
    """Update, condition and values of a draw."""
    if isinstance(draw, Make):
        # There is no bucket of this name yet, or it was full for so long that it was forgotten.
        return _WHOLE, "attribute_not_exists(pk)", _whole(draw.bucket)
    if isinstance(draw, Rebase):
        # It is exactly as it was when its level at the other rate was reckoned.
        values = {":seen": draw.seen.drawn_milli, ":seen_writes": draw.seen.writes}
        return _WHOLE, "drawn = :seen AND writes = :seen_writes", _whole(draw.bucket) | values
    values = {":clock": draw.clock_ms, ":one": 1}
    if isinstance(draw, Shift):
        return _shift(draw, values)
    values[":rate"] = draw.rate_per_minute
    if isinstance(draw, Spill):
        # At this rate it ran over, or is so nearly full that the difference may go.
        values |= {":below": draw.below_milli, ":to": draw.to_milli}
        return f"SET drawn = :to, {_PART}", "rate_per_minute = :rate AND drawn < :below", values
    # At this rate it did not run over, and what is to be drawn is there or soon will be.
    values |= {":amount": draw.amount_milli, ":least": draw.at_least_milli, ":most": draw.at_most_milli}
    condition = "rate_per_minute = :rate AND drawn BETWEEN :least AND :most"
    return f"SET drawn = drawn + :amount, {_PART}", condition, values


def _shift(draw: Shift, values: dict[str, int]) -> tuple[str, str, dict[str, int]]:
    update = f"SET drawn = drawn + :amount, {_PART}"
    values[":amount"] = draw.amount_milli
    if draw.seen is None:
        # It is there. A charge that is made twice errs on the safe side.
        return update, "attribute_exists(pk)", values
    # It is exactly as it was seen, so that what is given back is given back once, however often the call is repeated.
    values |= {":seen": draw.seen.drawn_milli, ":seen_writes": draw.seen.writes}
    return update, "drawn = :seen AND writes = :seen_writes", values


def _whole(bucket: Bucket) -> dict[str, int]:
    return {
        ":drawn": bucket.drawn_milli,
        ":rate": bucket.rate_per_minute,
        ":based": bucket.based_ms,
        ":clock": bucket.clock_ms,
        ":writes": bucket.writes,
    }


def _bucket(item: dict[str, Any] | None) -> Bucket | None:
    if not item:
        return None
    return Bucket(
        drawn_milli=int(item["drawn"]["N"]),
        rate_per_minute=int(item["rate_per_minute"]["N"]),
        based_ms=int(item["based_ms"]["N"]),
        clock_ms=int(item["clock_ms"]["N"]),
        writes=int(item["writes"]["N"]),
    )


def _key(name: str) -> dict[str, Any]:
    return {"pk": {"S": PARTITION_PREFIX + name}, "sk": {"S": SORT_KEY}}


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the buckets did not answer", code="buckets_unavailable")
