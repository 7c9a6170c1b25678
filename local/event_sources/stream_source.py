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

from local.event_sources.activity import Activity
from local.event_sources.checkpoints import Checkpoints
from local.event_sources.invocation import Invocation, Invoker
from local.event_sources.mappings import Mapping as EventSourceMapping
from local.event_sources.partial_batch import failed_items
from local.event_sources.poller import Poller
from local.event_sources.slots import SlotLedger
from local.event_sources.stream_event import failure_note, stream_event
from local.event_sources.stream_feed import StreamFeed
from local.event_sources.stream_filter import StreamFilter, UnknownPatternError
from local.event_sources.stream_plan import (
    GivenUp,
    Record,
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
_LONGEST_PAUSE_SECONDS = 1.0
_SHARD_REFRESH_SECONDS = 30.0
_THROTTLE_PATIENCE_SECONDS = 30.0
# A mapping's window is whole seconds, chosen for a load that saves money by waiting. Here somebody looks on.
_WINDOW_SHARE = 0.2

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
    """A shard, how far it was read, and what was read and is not planned yet.

    Attributes:
        place: The sequence number up to which it was read.
        gathering_since: When the first of the gathered records came, by the monotonic clock.
    """

    def __init__(self, shard_id: str, plan: ShardPlan) -> None:
        self.id = shard_id
        self.plan = plan
        self.place = plan.checkpoint
        self.gathered: list[Record] = []
        self.gathering_since = 0.0
        self.ended = False

    @property
    def drained(self) -> bool:
        return self.ended and not self.gathered and self.plan.current is None


class StreamSource(Poller):
    """The reader of one mapping; one thread."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        *,
        feed: StreamFeed,
        activity: Activity,
        notify: Notify,
        invoker: Invoker,
        ledger: SlotLedger,
        checkpoints: Path,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(f"stream {mapping.function}")
        self.mapping = mapping
        self._feed = feed
        self._activity = activity
        self._notify = notify
        self._invoker = invoker
        self._ledger = ledger
        self._clock = clock
        since_seconds = mapping.modified_seconds if mapping.starting_position == "LATEST" else 0.0
        self._checkpoints = Checkpoints.open(checkpoints, mapping.uuid, since_seconds=since_seconds)
        self._filter = _filter_of(mapping)
        self._filters = mapping.filters
        self._shards: dict[str, _Shard] = {}
        self._finished: set[str] = set()
        self._shards_read_at = float("-inf")

    def _poll(self) -> None:
        pause = _SHORTEST_PAUSE_SECONDS
        while not self._stopping.is_set():
            happened = self._activity.count
            try:
                self._refresh_shards()
                waits = [self._work_on(shard) for shard in list(self._shards.values())]
            except (ClientError, BotoCoreError) as error:
                _LOG.warning("cannot read %s: %s", self.mapping.source_arn, error)
                self._stopping.wait(_TROUBLE_PAUSE_SECONDS)
                continue
            due = [wait for wait in waits if wait is not None]
            if due:
                pause = _SHORTEST_PAUSE_SECONDS
                self._stopping.wait(min(due))
            else:
                # To the next tick of a clock that all readers share, so that one read serves them.
                self._activity.wait(happened, pause - time.monotonic() % pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _refresh_shards(self) -> None:
        for shard in [shard for shard in self._shards.values() if shard.drained]:
            del self._shards[shard.id]
            self._finished.add(shard.id)
            self._shards_read_at = float("-inf")
        if time.monotonic() - self._shards_read_at < _SHARD_REFRESH_SECONDS:
            return
        for shard_id in readable_shards(self._feed.shards(), self._finished):
            if shard_id not in self._shards:
                plan = ShardPlan(self.mapping.retry_policy, checkpoint=self._checkpoints.shards.get(shard_id))
                self._shards[shard_id] = _Shard(shard_id, plan)
        self._shards_read_at = time.monotonic()

    def _work_on(self, shard: _Shard) -> float | None:
        """Delivers the shard's next segment, gathering one first if need be.

        Returns:
            In how many seconds there is something to do again; None if nothing is there.
        """
        shard.plan.policy = self.mapping.retry_policy
        if self.mapping.filters != self._filters:
            self._filter, self._filters = _filter_of(self.mapping), self.mapping.filters
        if shard.plan.current is None:
            wait = self._gather(shard)
            if wait != 0:
                return wait
        given_up = shard.plan.expire(self._clock())
        if given_up is not None:
            self._give_up(shard, given_up, None)
        segment = shard.plan.current
        if segment is not None:
            self._deliver(shard, segment)
        return 0

    def _gather(self, shard: _Shard) -> float | None:
        """Plans a batch once it is full or its window is over; answers as `_work_on`, 0 if there is a batch."""
        if len(shard.gathered) < self.mapping.batch_size:
            self._read(shard)
        if not shard.gathered:
            return None
        if len(shard.gathered) < self.mapping.batch_size and not shard.ended:
            window_seconds = self.mapping.window_seconds * _WINDOW_SHARE
            left_seconds = shard.gathering_since + window_seconds - time.monotonic()
            if left_seconds > 0:
                return left_seconds
        size = self.mapping.batch_size
        shard.plan.add(shard.gathered[:size])
        shard.gathered = shard.gathered[size:]
        shard.gathering_since = time.monotonic()
        return 0

    def _read(self, shard: _Shard) -> None:
        page = self._feed.read(shard.id, shard.place)
        shard.ended = page.ended
        if not page.records:
            return
        shard.place = sequence_of(page.records[-1])
        wanted = [
            record
            for record in page.records
            if created_seconds(record) >= self._checkpoints.since_seconds and self._filter.passes(record)
        ]
        if wanted and not shard.gathered:
            shard.gathering_since = time.monotonic()
        shard.gathered += wanted
        if not shard.gathered:
            self._checkpoints.advance(shard.id, shard.place)

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


def _filter_of(mapping: EventSourceMapping) -> StreamFilter:
    try:
        return StreamFilter(mapping.filters)
    except UnknownPatternError as error:
        _LOG.warning("%s gets records that its filter leaves out: %s", mapping.function_arn, error)
        return StreamFilter(())
