"""The fleet's bus on EventBridge.

Failure policy: nothing that may not have got through is passed off as published; the caller comes again with it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.broadcast import Notice
from flotilla.ports import RunSync
from flotilla.primitives.packing import packed

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

logger = logging.getLogger(__name__)

_ENTRIES = 10
_REQUEST_BYTES = 240_000
"""EventBridge takes 256 KiB in one request, all of it counted."""

_ENVELOPE_BYTES = 256


class EventBridgeBus:
    """`Publisher` over one event bus.

    Args:
        client: An EventBridge client.
        bus: The bus's name.
        source: What the events say they come from.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: EventBridgeClient, bus: str, source: str, run_sync: RunSync) -> None:
        self._client = client
        self._bus = bus
        self._source = source
        self._run_sync = run_sync

    async def publish(self, notices: Sequence[Notice]) -> list[bool]:
        """See `Publisher.publish`."""
        through: list[bool] = []
        for pack in packed(notices, _size, max_items=_ENTRIES, max_bytes=_REQUEST_BYTES):
            through += await self._run_sync(self._put, pack)
            if not any(through[-len(pack) :]):
                break  # it does not answer, or takes nothing: what comes after would only wait as long again
        return through + [False] * (len(notices) - len(through))

    def _put(self, notices: Sequence[Notice]) -> list[bool]:
        entries: list[PutEventsRequestEntryTypeDef] = [
            {
                "EventBusName": self._bus,
                "Source": self._source,
                "DetailType": notice.type,
                "Detail": notice.document,
                "Time": datetime.fromtimestamp(notice.at_ms / 1000, UTC),
            }
            for notice in notices
        ]
        try:
            answer = self._client.put_events(Entries=entries)
        except (ClientError, BotoCoreError) as error:
            logger.warning("events not published", extra={"events": len(entries), "error": str(error)})
            return [False] * len(notices)
        codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
        if any(codes):
            logger.warning("some events not published", extra={"codes": sorted({code for code in codes if code})})
        return [code is None for code in codes]


def _size(notice: Notice) -> int:
    return len(notice.document) + _ENVELOPE_BYTES
