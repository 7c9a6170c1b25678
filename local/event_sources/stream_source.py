"""Feeds a function from a DynamoDB stream: each shard in order, a parent before its children, one batch at a time.

What to do about failures is decided in `stream_plan`. The checkpoint follows what is done with, so that a kill repeats
records and never skips one. Shards of one stream take turns; the engine makes only one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.event_sources.checkpoints import Checkpoints
from local.event_sources.invocation import Invocation, Invoker
from local.event_sources.mappings import Mapping as EventSourceMapping
from local.event_sources.partial_batch import failed_items
from local.event_sources.poller import Poller
from local.event_sources.slots import SlotLedger
from local.event_sources.stream_event import failure_note, stream_event, stream_record
from local.event_sources.stream_plan import (
    GivenUp,
    Segment,
    ShardPlan,
    backoff_seconds,
    created_seconds,
    first_failure,
    sequence_of,
)

_LOG = logging.getLogger("local.event_sources")
_SLOT_WAIT_SECONDS = 1.0
_TROUBLE_PAUSE_SECONDS = 1.0
_SHORTEST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 0.5
_SHARD_REFRESH_SECONDS = 30.0
_THROTTLE_PATIENCE_SECONDS = 30.0
_LARGEST_READ = 1000
# The stream no longer holds what an iterator or a checkpoint points at.
_LOST_PLACE = frozenset({"ExpiredIteratorException", "TrimmedDataAccessException"})

Notify = Callable[[str, str], None]


def readable_shards(shards: Sequence[Mapping[str, Any]], finished: Collection[str]) -> list[str]:
    """The shards that may be read now: those not finished whose parent is finished or gone from the stream."""
    listed = {shard["ShardId"] for shard in shards}
    return [
        str(shard["ShardId"])
        for shard in shards
        if shard["ShardId"] not in finished
        and (shard.get("ParentShardId") not in listed or shard.get("ParentShardId") in finished)
    ]


class _Shard:
    def __init__(self, shard_id: str, plan: ShardPlan) -> None:
        self.id = shard_id
        self.plan = plan
        self.iterator: str | None = None
        self.drained = False


class StreamSource(Poller):
    """The reader of one mapping; one thread."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        *,
        streams: Any,
        notify: Notify,
        invoker: Invoker,
        ledger: SlotLedger,
        checkpoints: Path,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(f"stream {mapping.function}")
        self.mapping = mapping
        self._streams = streams
        self._notify = notify
        self._invoker = invoker
        self._ledger = ledger
        self._clock = clock
        since_seconds = mapping.modified_seconds if mapping.starting_position == "LATEST" else 0.0
        self._checkpoints = Checkpoints.open(checkpoints, mapping.uuid, since_seconds=since_seconds)
        self._shards: dict[str, _Shard] = {}
        self._finished: set[str] = set()
        self._shards_read_at = float("-inf")

    def _poll(self) -> None:
        pause = _SHORTEST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                self._refresh_shards()
                worked = [self._work_on(shard) for shard in list(self._shards.values())]
            except (ClientError, BotoCoreError) as error:
                _LOG.warning("cannot read %s: %s", self.mapping.source_arn, error)
                self._stopping.wait(_TROUBLE_PAUSE_SECONDS)
                continue
            if any(worked):
                pause = _SHORTEST_PAUSE_SECONDS
            else:
                self._stopping.wait(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _refresh_shards(self) -> None:
        for shard in [shard for shard in self._shards.values() if shard.drained]:
            del self._shards[shard.id]
            self._finished.add(shard.id)
            self._shards_read_at = float("-inf")
        if time.monotonic() - self._shards_read_at < _SHARD_REFRESH_SECONDS:
            return
        description = self._streams.describe_stream(StreamArn=self.mapping.source_arn)["StreamDescription"]
        for shard_id in readable_shards(description["Shards"], self._finished):
            if shard_id not in self._shards:
                plan = ShardPlan(self.mapping.retry_policy, checkpoint=self._checkpoints.shards.get(shard_id))
                self._shards[shard_id] = _Shard(shard_id, plan)
        self._shards_read_at = time.monotonic()

    def _work_on(self, shard: _Shard) -> bool:
        """Delivers the shard's next segment, reading one first if need be; whether there was any work."""
        shard.plan.policy = self.mapping.retry_policy
        if shard.plan.current is None and not self._read(shard):
            return False
        given_up = shard.plan.expire(self._clock())
        if given_up is not None:
            self._give_up(shard, given_up, None)
        segment = shard.plan.current
        if segment is not None:
            self._deliver(shard, segment)
        return True

    def _read(self, shard: _Shard) -> bool:
        if shard.iterator is None:
            shard.iterator = self._iterator(shard)
        limit = min(self.mapping.batch_size, _LARGEST_READ)
        try:
            answer = self._streams.get_records(ShardIterator=shard.iterator, Limit=limit)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _LOST_PLACE:
                raise
            shard.iterator = None
            return True
        shard.iterator = answer.get("NextShardIterator")
        shard.drained = shard.iterator is None
        records = [stream_record(record, stream_arn=self.mapping.source_arn) for record in answer["Records"]]
        wanted = [record for record in records if created_seconds(record) >= self._checkpoints.since_seconds]
        if records and not wanted:
            self._checkpoints.advance(shard.id, sequence_of(records[-1]))
        shard.plan.add(wanted)
        return bool(records)

    def _iterator(self, shard: _Shard) -> str:
        place = {"StreamArn": self.mapping.source_arn, "ShardId": shard.id}
        checkpoint = self._checkpoints.shards.get(shard.id)
        if checkpoint is not None:
            after = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": checkpoint}
            try:
                return str(self._streams.get_shard_iterator(**place, **after)["ShardIterator"])
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in _LOST_PLACE:
                    raise
                _LOG.warning("%s no longer holds the checkpoint; reading all it holds", self.mapping.source_arn)
        return str(self._streams.get_shard_iterator(**place, ShardIteratorType="TRIM_HORIZON")["ShardIterator"])

    def _deliver(self, shard: _Shard, segment: Segment) -> None:
        slot = None
        while slot is None:
            if self._stopping.is_set():
                return
            slot = self._ledger.acquire(self.mapping.uuid, timeout_seconds=_SLOT_WAIT_SECONDS)
        try:
            invocation = self._invoker.invoke(
                self.mapping.function_arn, stream_event(segment.records), patience_seconds=_THROTTLE_PATIENCE_SECONDS
            )
        finally:
            slot.release()
        if invocation.outcome == "not-run":
            # Costs no attempt: the function has not seen it.
            self._stopping.wait(_TROUBLE_PAUSE_SECONDS)
            return
        given_up = self._settle(shard, segment, invocation)
        if given_up is not None:
            self._give_up(shard, given_up, invocation)
        self._checkpoints.advance(shard.id, shard.plan.checkpoint)
        upcoming = shard.plan.current
        if upcoming is not None and upcoming.attempts:
            self._stopping.wait(backoff_seconds(upcoming.attempts))

    def _settle(self, shard: _Shard, segment: Segment, invocation: Invocation) -> GivenUp | None:
        if invocation.outcome != "succeeded":
            return shard.plan.failed()
        failed = failed_items(
            invocation.answer,
            [sequence_of(record) for record in segment.records],
            reports_item_failures=self.mapping.reports_item_failures,
        )
        first = first_failure(segment, failed)
        if first is None:
            shard.plan.succeeded()
            return None
        return shard.plan.failed_from(first)

    def _give_up(self, shard: _Shard, given_up: GivenUp, invocation: Invocation | None) -> None:
        """Tells the on-failure destination, then moves the checkpoint: told twice rather than never."""
        _LOG.warning(
            "%s: gave up %d records: %s",
            self.mapping.function_arn,
            len(given_up.segment.records),
            given_up.condition,
        )
        if self.mapping.on_failure is not None:
            note = failure_note(
                given_up,
                invocation=invocation,
                function_arn=self.mapping.function_arn,
                shard=shard.id,
                stream_arn=self.mapping.source_arn,
                now=datetime.fromtimestamp(self._clock(), UTC),
            )
            try:
                self._notify(self.mapping.on_failure, json.dumps(note))
            except (ClientError, BotoCoreError) as error:
                _LOG.error("cannot tell %s: %s; the note was %s", self.mapping.on_failure, error, note)
        self._checkpoints.advance(shard.id, shard.plan.checkpoint)
