"""Reads the shards of one stream for all mappings that follow it.

Each mapping has a place of its own in a shard. Most stand at its end, so what one reads there is kept for the others:
a change is fetched once, however many follow. Who stands elsewhere, after a stop or a long failure, reads for itself
until it has caught up. Nothing is ever left out: a reader gets just the records after its place, or an error.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from local.event_sources.stream_event import stream_record
from local.event_sources.stream_plan import Record, sequence_of

_LOG = logging.getLogger("local.event_sources")
_LARGEST_READ = 1000
_KEPT = 4000
_SHARED_SECONDS = 0.05
# The stream no longer holds what an iterator or a place points at.
_LOST_PLACE = frozenset({"ExpiredIteratorException", "TrimmedDataAccessException"})


@dataclass(frozen=True)
class Page:
    """What lies behind a place in a shard.

    Attributes:
        records: In order, as functions receive them.
        ended: There is nothing behind them, and never will be.
    """

    records: Sequence[Record]
    ended: bool = False


@dataclass
class _Tail:
    """The newest records of a shard that were read, and where to read on."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    begun: bool = False
    before: str | None = None
    """The place before the oldest record that is kept."""
    records: deque[Record] = field(default_factory=deque)
    iterator: str | None = None
    ended: bool = False
    read_at: float = float("-inf")

    @property
    def end(self) -> str | None:
        return sequence_of(self.records[-1]) if self.records else self.before


class StreamFeed:
    """The reader of one stream. Thread-safe.

    Args:
        streams: A client of DynamoDB streams.
        stream_arn: Which one.
        kept: How many of the newest records are kept for others.
        shared_seconds: Readers that come to the end within this time of each other share what is read there.
    """

    def __init__(
        self, streams: Any, stream_arn: str, *, kept: int = _KEPT, shared_seconds: float = _SHARED_SECONDS
    ) -> None:
        self._streams = streams
        self.stream_arn = stream_arn
        self._kept = kept
        self._shared_seconds = shared_seconds
        self._tails: dict[str, _Tail] = {}
        self._making = threading.Lock()

    def shards(self) -> list[Mapping[str, Any]]:
        """The shards there are."""
        description = self._streams.describe_stream(StreamArn=self.stream_arn)["StreamDescription"]
        return list(description["Shards"])

    def read(self, shard: str, after: str | None) -> Page:
        """The records of `shard` after the one with the sequence number `after`; None stands before the oldest."""
        with self._making:
            tail = self._tails.setdefault(shard, _Tail())
        with tail.lock:
            if not tail.begun:
                tail.begun, tail.before = True, after
            if after == tail.end:
                self._extend(shard, tail)
            kept = _after(tail, after)
        if kept is not None:
            return Page(kept, ended=tail.ended)
        return self._read_apart(shard, after)

    def _extend(self, shard: str, tail: _Tail) -> None:
        if tail.ended or time.monotonic() - tail.read_at < self._shared_seconds:
            return
        try:
            if tail.iterator is None:
                tail.iterator = self._iterator(shard, tail.end)
            answer = self._streams.get_records(ShardIterator=tail.iterator, Limit=_LARGEST_READ)
        except ClientError as error:
            if _code_of(error) not in _LOST_PLACE:
                raise
            tail.iterator = None
            return
        tail.read_at = time.monotonic()
        tail.iterator = answer.get("NextShardIterator")
        tail.ended = tail.iterator is None
        tail.records.extend(stream_record(record, stream_arn=self.stream_arn) for record in answer["Records"])
        while len(tail.records) > self._kept:
            tail.before = sequence_of(tail.records.popleft())

    def _read_apart(self, shard: str, after: str | None) -> Page:
        iterator = self._iterator(shard, after)
        answer = self._streams.get_records(ShardIterator=iterator, Limit=_LARGEST_READ)
        records = [stream_record(record, stream_arn=self.stream_arn) for record in answer["Records"]]
        return Page(records, ended=answer.get("NextShardIterator") is None)

    def _iterator(self, shard: str, after: str | None) -> str:
        place = {"StreamArn": self.stream_arn, "ShardId": shard}
        if after is not None:
            behind = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
            try:
                return str(self._streams.get_shard_iterator(**place, **behind)["ShardIterator"])
            except ClientError as error:
                if _code_of(error) not in _LOST_PLACE:
                    raise
                _LOG.warning("%s no longer holds the checkpoint; reading all it holds", self.stream_arn)
        return str(self._streams.get_shard_iterator(**place, ShardIteratorType="TRIM_HORIZON")["ShardIterator"])


def _after(tail: _Tail, after: str | None) -> list[Record] | None:
    """What is kept of the records after a place; None if that place is none that is kept."""
    if after == tail.before:
        return list(tail.records)
    behind: list[Record] = []
    for record in reversed(tail.records):
        if sequence_of(record) == after:
            behind.reverse()
            return behind
        behind.append(record)
    return None


def _code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
