"""A log cut at its task's ends."""

from __future__ import annotations

import pytest

from flotilla.dynamo.event_log import to_item
from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind
from flotilla.events.segments import ends_of, segments, write_units
from flotilla.models import Status
from tests.logs import LogBuilder, log_of

FAILED = (Kind.STARTED, Kind.ATTEMPT_FAILED, Kind.STARTED, Kind.DEAD_LETTERED)


def test_a_log_with_one_end_is_one_segment_with_what_all_attempts_used() -> None:
    (segment,) = segments(log_of(*FAILED))
    assert (segment.task_id, segment.tenant, segment.agent) == ("tsk_sample", "acme", "sample.echo")
    assert (segment.lane, segment.end_seq, segment.status) == ("standard", 4, Status.DEAD_LETTERED)
    assert segment.usages == [{"duration_ms": 1}, {"duration_ms": 9}]
    assert (segment.write_units, segment.messages) == (5, 1)


def test_after_each_redrive_another_begins() -> None:
    log = log_of(*FAILED, Kind.REDRIVEN, Kind.STARTED, Kind.SUCCEEDED)
    assert ends_of(log) == [4, 7]
    first, second = segments(log)
    assert [first] == list(segments(log[:5]))
    assert (second.end_seq, second.status, second.usages) == (7, Status.SUCCEEDED, [{"duration_ms": 7}])
    assert (second.write_units, second.messages) == (3, 1)


def test_what_has_not_ended_is_no_segment() -> None:
    assert list(segments(log_of(Kind.STARTED))) == []
    assert len(list(segments(log_of(*FAILED, Kind.REDRIVEN, Kind.STARTED)))) == 1


def test_what_is_no_log_is_told() -> None:
    log = log_of(*FAILED)
    for broken in ([], log[1:]):
        with pytest.raises(CorruptLogError):
            list(segments(broken))


@pytest.mark.parametrize("characters", [0, 500, 700, 800, 900, 1000, 5000, 200_000])
def test_write_units_are_those_of_the_item(characters: int) -> None:
    text = "".join(chr(33 + number * number % 89) for number in range(characters))
    builder = LogBuilder("tsk_" + "0" * 32)
    builder.add(Kind.ACCEPTED, actor="key:" + "k" * 20, input={"inline": text})
    builder.add(Kind.STARTED, attempt=1)
    builder.add(Kind.SUCCEEDED, attempt=1, output={"inline": text})
    for event in builder.events:
        assert abs(write_units(event) - _units(event)) <= (_bytes(event) % 1024 < 40 or _bytes(event) % 1024 > 984)


def _units(event: Event) -> int:
    return -(-_bytes(event) // 1024)


def _bytes(event: Event) -> int:
    """By DynamoDB's rule: names, texts as UTF-8, and of numbers about a byte for each two digits and one."""
    total = 0
    for name, value in to_item(event, 1_800_000_000).items():
        ((kind, content),) = value.items()
        total += len(name) + (len(content) // 2 + 1 if kind == "N" else len(content))
    return total
