"""A shard's records: in order, retried, bisected, partly done, given up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.event_sources.stream_plan import (
    RetryPolicy,
    Segment,
    ShardPlan,
    backoff_seconds,
    first_failure,
    sequence_of,
)


def record(number: int, *, created: float = 0.0) -> dict[str, Any]:
    return {"dynamodb": {"SequenceNumber": f"{number:04}", "ApproximateCreationDateTime": created}}


def plan_of(count: int, **policy: Any) -> ShardPlan:
    plan = ShardPlan(RetryPolicy(**policy))
    plan.add([record(number) for number in range(count)])
    return plan


def numbers(segment: Segment | None) -> list[int]:
    return [] if segment is None else [int(sequence_of(entry)) for entry in segment.records]


def test_a_success_moves_the_checkpoint_to_the_last_record() -> None:
    plan = plan_of(3)
    plan.succeeded()
    assert (plan.current, plan.checkpoint) == (None, "0002")


def test_nothing_read_leaves_everything_as_it_is() -> None:
    plan = ShardPlan(RetryPolicy(), checkpoint="0007")
    plan.add([])
    assert (plan.current, plan.checkpoint) == (None, "0007")


def test_without_a_limit_a_failing_segment_is_retried_for_ever_and_blocks_the_shard() -> None:
    plan = plan_of(2)
    plan.add([record(9)])
    for _ in range(100):
        assert plan.failed() is None
    assert (numbers(plan.current), plan.checkpoint) == ([0, 1], None)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_segment_is_given_up_after_its_retries(retries: int) -> None:
    plan = plan_of(2, maximum_retry_attempts=retries)
    for _ in range(retries):
        assert plan.failed() is None
    given_up = plan.failed()
    assert given_up is not None
    assert given_up.condition == "RetryAttemptsExhausted"
    assert (numbers(given_up.segment), given_up.segment.attempts) == ([0, 1], retries + 1)
    assert (plan.current, plan.checkpoint) == (None, "0001")


def test_bisecting_finds_the_poison_record_and_delivers_all_others_in_order() -> None:
    plan = plan_of(10, maximum_retry_attempts=2, bisect_on_error=True)
    delivered: list[int] = []
    given_up: list[int] = []
    while (segment := plan.current) is not None:
        if 6 in numbers(segment):
            gone = plan.failed()
            given_up += numbers(gone.segment if gone else None)
        else:
            delivered += numbers(segment)
            plan.succeeded()
    assert (delivered, given_up) == ([0, 1, 2, 3, 4, 5, 7, 8, 9], [6])


def test_a_split_costs_no_attempt() -> None:
    plan = plan_of(2, maximum_retry_attempts=0, bisect_on_error=True)
    assert plan.failed() is None
    assert numbers(plan.current) == [0]
    plan.succeeded()
    given_up = plan.failed()
    assert given_up is not None
    assert numbers(given_up.segment) == [1]


def test_a_partial_failure_checkpoints_before_the_failed_record() -> None:
    plan = plan_of(5)
    assert plan.failed_from("0003") is None
    assert (numbers(plan.current), plan.checkpoint) == ([3, 4], "0002")


def test_progress_before_the_failed_record_starts_its_count_anew() -> None:
    plan = plan_of(4, maximum_retry_attempts=2)
    assert plan.failed() is None
    assert plan.failed() is None
    assert plan.failed_from("0002") is None
    assert plan.current is not None
    assert plan.current.attempts == 1


def test_a_partial_failure_of_the_first_record_is_no_progress() -> None:
    plan = plan_of(3, maximum_retry_attempts=1)
    assert plan.failed_from("0000") is None
    given_up = plan.failed_from("0000")
    assert given_up is not None
    assert numbers(given_up.segment) == [0, 1, 2]


def test_only_records_past_their_age_are_given_up() -> None:
    plan = ShardPlan(RetryPolicy(maximum_record_age_seconds=60))
    plan.add([record(0, created=0), record(1, created=10), record(2, created=50)])
    assert plan.expire(now_seconds=60) is None
    given_up = plan.expire(now_seconds=75)
    assert given_up is not None
    assert (given_up.condition, numbers(given_up.segment)) == ("RecordAgeExceeded", [0, 1])
    assert (numbers(plan.current), plan.checkpoint) == ([2], "0001")


def test_without_an_age_limit_nothing_expires() -> None:
    assert plan_of(2).expire(now_seconds=1e12) is None


def test_the_lowest_failed_record_is_where_to_resume() -> None:
    segment = Segment((record(1), record(2), record(3)))
    assert first_failure(segment, frozenset({"0003", "0002"})) == "0002"
    assert first_failure(segment, frozenset()) is None


def test_the_backoff_grows_and_is_bounded() -> None:
    pauses = [backoff_seconds(attempts) for attempts in range(1, 30)]
    assert pauses == sorted(pauses)
    assert 0 < pauses[0] <= 0.5
    assert pauses[-1] <= 30


@given(
    sizes=st.lists(st.integers(1, 9), max_size=5),
    choices=st.lists(st.sampled_from(["succeed", "fail", "partial"]), min_size=1),
    retries=st.integers(0, 3),
    bisect=st.booleans(),
)
def test_whatever_happens_each_record_ends_once_and_in_order(
    sizes: list[int], choices: list[str], retries: int, bisect: bool
) -> None:
    plan = ShardPlan(RetryPolicy(maximum_retry_attempts=retries, bisect_on_error=bisect))
    count = 0
    for size in sizes:
        plan.add([record(number) for number in range(count, count + size)])
        count += size
    ended: list[int] = []
    for step in range(10_000):
        segment = plan.current
        if segment is None:
            break
        choice = choices[step % len(choices)]
        here = numbers(segment)
        if choice == "succeed":
            plan.succeeded()
            ended += here
        elif choice == "fail":
            plan.failed()
        else:
            plan.failed_from(sequence_of(segment.records[len(here) // 2]))
        done = -1 if plan.checkpoint is None else int(plan.checkpoint)
        assert done + 1 == (count if plan.current is None else numbers(plan.current)[0])
    assert plan.current is None
    assert ended == sorted(set(ended))
    assert plan.checkpoint == (f"{count - 1:04}" if count else None)
