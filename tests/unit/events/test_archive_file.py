"""Logs in a file: the same logs are the same bytes, and nothing but what was packed is unpacked."""

from __future__ import annotations

import gzip
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind
from flotilla.events.archive_file import line_of, logs_in, pack, read_line
from tests.histories import logs
from tests.logs import log_of


@given(st.lists(st.integers(0, 9), unique=True, max_size=4), st.data())
def test_what_was_packed_is_unpacked(numbers: list[int], data: st.DataObject) -> None:
    packed = [data.draw(logs(f"tsk_{number}", max_events=5)) for number in numbers]
    content = pack(packed)
    assert logs_in(content) == {log[0].task_id: log for log in packed}
    assert pack(packed) == content


def test_the_time_of_packing_is_not_in_it() -> None:
    assert pack([log_of()])[4:8] == b"\0\0\0\0"


def test_line_ends_within_a_text_end_no_line() -> None:
    log = log_of(Kind.STARTED)
    log[1].body["text"] = "a\nb\r\n\u2028\u2029\x85\x0bc"
    assert pack([log]).count(b"") and logs_in(pack([log])) == {"tsk_sample": log}
    assert gzip.decompress(pack([log])).decode().count("\n") == 2


@pytest.mark.parametrize("content", [b"", b"x", *(gzip.compress(text, mtime=0) for text in (b"\xff", b"{}", b"[1]\n"))])
def test_what_is_no_archive_is_a_corrupt_log(content: bytes) -> None:
    with pytest.raises(CorruptLogError):
        logs_in(content)


def test_a_file_that_was_cut_anywhere_is_a_corrupt_log() -> None:
    content = pack([log_of(Kind.STARTED, Kind.SUCCEEDED)])
    for length in range(len(content)):
        with pytest.raises(CorruptLogError):
            logs_in(content[:length])


def test_a_file_in_which_a_byte_was_changed_is_a_corrupt_log_or_the_same() -> None:
    log = log_of(Kind.STARTED, Kind.SUCCEEDED)
    content = pack([log])
    dice = random.Random(3)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << dice.randrange(8)
        try:
            assert logs_in(bytes(changed)) == {"tsk_sample": log}, "a byte of the header that says nothing"
        except CorruptLogError:
            continue


@pytest.mark.parametrize(
    "damage", [{"seq": "1"}, {"seq": True}, {"body": []}, {"kind": "x"}, {"extra": 1}, {"hash": None}, {"at_ms": 1.0}]
)
def test_a_line_that_is_no_event_is_a_corrupt_log(damage: dict[str, object]) -> None:
    with pytest.raises(CorruptLogError):
        read_line(json.dumps(json.loads(line_of(log_of()[0])) | damage))


def test_an_event_is_one_line_and_says_all() -> None:
    event: Event = log_of()[0]
    assert read_line(line_of(event)) == event
    assert "\n" not in line_of(event)
