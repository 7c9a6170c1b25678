"""What to do with a shard's records: in order, with retries, bisecting, partial success, and giving up.

A shard's records form a queue of segments; only the first is worked on. A segment leaves the front by success or by
being given up, and everything before it is then done with for good: that is the checkpoint. Pure: it invokes nothing,
sends nothing and reads no clock.

Source: "Process records with Lambda / handling errors" for DynamoDB streams in the AWS Lambda developer guide.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Record = Mapping[str, Any]
Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]

UNLIMITED = -1


@dataclass(frozen=True)
class RetryPolicy:
    """A mapping's settings for failures.

    Attributes:
        maximum_retry_attempts: Retries after the first attempt; -1 for no limit.
        maximum_record_age_seconds: Older records are given up; -1 for no limit.
        bisect_on_error: Whether a failing segment is halved before it is retried.
    """

    maximum_retry_attempts: int = UNLIMITED
    maximum_record_age_seconds: int = UNLIMITED
    bisect_on_error: bool = False


@dataclass(frozen=True)
class Segment:
    """Neighbouring records that are delivered together, and how often that was tried."""

    records: tuple[Record, ...]
    attempts: int = 0


@dataclass(frozen=True)
class GivenUp:
    """Records that will not be delivered again."""

    segment: Segment
    condition: Condition


@dataclass
class ShardPlan:
    """The records of a shard that have been read and are not done with."""

    policy: RetryPolicy
    checkpoint: str | None = None
    """The sequence number of the last record that is done with."""
    _segments: deque[Segment] = field(default_factory=deque)

    def add(self, records: Sequence[Record]) -> None:
        """Appends records, in order, as one segment."""
        if records:
            self._segments.append(Segment(tuple(records)))

    @property
    def current(self) -> Segment | None:
        """What to deliver next; None if there is nothing."""
        return self._segments[0] if self._segments else None

    def expire(self, now_seconds: float) -> GivenUp | None:
        """Gives up those records at the front that are too old, if there are any."""
        limit = self.policy.maximum_record_age_seconds
        segment = self.current
        if segment is None or limit == UNLIMITED:
            return None
        old = 0
        while old < len(segment.records) and now_seconds - created_seconds(segment.records[old]) > limit:
            old += 1
        if not old:
            return None
        self._segments.popleft()
        if segment.records[old:]:
            self._segments.appendleft(Segment(segment.records[old:], segment.attempts))
        return self._give_up(Segment(segment.records[:old], segment.attempts), "RecordAgeExceeded")

    def succeeded(self) -> None:
        """The current segment was delivered."""
        self._done_with(self._segments.popleft())

    def failed_from(self, sequence_number: str) -> GivenUp | None:
        """The function reports that it got as far as before the record with this number.

        Lambda takes that record for the checkpoint and retries from there; with bisecting on, that is the split.
        """
        segment = self._segments.popleft()
        position = next(index for index, record in enumerate(segment.records) if sequence_of(record) == sequence_number)
        if position:
            self._done_with(Segment(segment.records[:position]))
            # The records before it were progress: this one has failed once so far.
            return self._retry(Segment(segment.records[position:], 1))
        return self._retry_or_split(segment)

    def failed(self) -> GivenUp | None:
        """The current segment failed as a whole."""
        return self._retry_or_split(self._segments.popleft())

    def _retry_or_split(self, segment: Segment) -> GivenUp | None:
        if self.policy.bisect_on_error and len(segment.records) > 1:
            # Splitting a batch does not count towards the retry quota.
            middle = (len(segment.records) + 1) // 2
            self._segments.appendleft(Segment(segment.records[middle:], segment.attempts))
            self._segments.appendleft(Segment(segment.records[:middle], segment.attempts))
            return None
        return self._retry(Segment(segment.records, segment.attempts + 1))

    def _retry(self, segment: Segment) -> GivenUp | None:
        limit = self.policy.maximum_retry_attempts
        if limit != UNLIMITED and segment.attempts > limit:
            return self._give_up(segment, "RetryAttemptsExhausted")
        self._segments.appendleft(segment)
        return None

    def _give_up(self, segment: Segment, condition: Condition) -> GivenUp:
        self._done_with(segment)
        return GivenUp(segment, condition)

    def _done_with(self, segment: Segment) -> None:
        self.checkpoint = sequence_of(segment.records[-1])


def sequence_of(record: Record) -> str:
    """A stream record's sequence number."""
    return str(record["dynamodb"]["SequenceNumber"])


def created_seconds(record: Record) -> float:
    """When the change was made, in epoch seconds."""
    return float(record["dynamodb"]["ApproximateCreationDateTime"])


def first_failure(segment: Segment, failed: frozenset[str]) -> str | None:
    """The lowest failed sequence number: Lambda's checkpoint among several. None if nothing failed."""
    return next((sequence_of(record) for record in segment.records if sequence_of(record) in failed), None)


def backoff_seconds(attempts: int) -> float:
    """How long to wait before the next attempt, given how many there were."""
    exponent: int = min(max(attempts - 1, 0), 6)
    return float(min(0.2 * 2**exponent, 10.0))
