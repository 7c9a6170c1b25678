"""How long events are kept, for the retention keeper: the only code that changes an item of the `events` table.

It changes `expires_at` and nothing else, and only to a later time. The hash chain does not cover `expires_at`.

Failure policy: an error to the caller, who comes again: the margin is measured in days.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.events import Event
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_AT_ONCE = 20


class DynamoLogRetention:
    """`LogRetention` over the `events` table.

    Args:
        client: A DynamoDB client.
        table: Name of the table.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def extend(self, events: Sequence[Event], until: int) -> int:
        """See `LogRetention.extend`. One write for each event, also for those that stay as they are."""
        extended = 0
        for start in range(0, len(events), _AT_ONCE):
            some = events[start : start + _AT_ONCE]
            extended += sum(await asyncio.gather(*(self._run_sync(self._extend, each, until) for each in some)))
        return extended

    def _extend(self, event: Event, until: int) -> bool:
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"task_id": {"S": event.task_id}, "seq": {"N": str(event.seq)}},
                UpdateExpression="SET expires_at = :until",
                # The event is still there (an update would make it anew, without anything in it),
                # and is not kept so long already.
                ConditionExpression="attribute_exists(task_id) AND expires_at < :until",
                ExpressionAttributeValues={":until": {"N": str(until)}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the event log did not answer", code="event_log_unavailable") from error
        return True
