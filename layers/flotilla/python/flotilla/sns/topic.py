"""The fleet's topic on SNS, with attributes that subscriptions filter by.

Failure policy: nothing that may not have got through is passed off as published; the caller comes again with it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.broadcast import Notice
from flotilla.ports import RunSync
from flotilla.primitives.packing import packed

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef, PublishBatchRequestEntryTypeDef

logger = logging.getLogger(__name__)

_ENTRIES = 10
_REQUEST_BYTES = 240_000
"""SNS takes 256 KiB in one request, attributes included."""

_ENVELOPE_BYTES = 1024


class SnsTopic:
    """`Publisher` over one standard topic.

    Args:
        client: An SNS client.
        topic_arn: The topic.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: SNSClient, topic_arn: str, run_sync: RunSync) -> None:
        self._client = client
        self._topic_arn = topic_arn
        self._run_sync = run_sync

    async def publish(self, notices: Sequence[Notice]) -> list[bool]:
        """See `Publisher.publish`."""
        through: list[bool] = []
        for pack in packed(notices, _size, max_items=_ENTRIES, max_bytes=_REQUEST_BYTES):
            through += await self._run_sync(self._publish, pack)
            if not any(through[-len(pack) :]):
                break  # it does not answer, or takes nothing: what comes after would only wait as long again
        return through + [False] * (len(notices) - len(through))

    def _publish(self, notices: Sequence[Notice]) -> list[bool]:
        entries: list[PublishBatchRequestEntryTypeDef] = [
            {"Id": str(position), "Message": notice.document, "MessageAttributes": _attributes(notice)}
            for position, notice in enumerate(notices)
        ]
        try:
            answer = self._client.publish_batch(TopicArn=self._topic_arn, PublishBatchRequestEntries=entries)
        except (ClientError, BotoCoreError) as error:
            logger.warning("notices not published", extra={"notices": len(entries), "error": str(error)})
            return [False] * len(notices)
        if answer.get("Failed"):
            codes = sorted({failed["Code"] for failed in answer["Failed"]})
            logger.warning("some notices not published", extra={"codes": codes})
        done = {entry.get("Id") for entry in answer.get("Successful", [])}
        return [entry["Id"] in done for entry in entries]


def _attributes(notice: Notice) -> dict[str, MessageAttributeValueTypeDef]:
    # An empty attribute is refused, with the whole message.
    named = {"id": notice.id, **notice.attributes}
    return {name: {"DataType": "String", "StringValue": value} for name, value in named.items() if value}


def _size(notice: Notice) -> int:
    return len(notice.document) + _ENVELOPE_BYTES
