"""All mappings of a stream read it together, and each gets every record after its own place, in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.event_sources.stream_feed import StreamFeed
from local.event_sources.stream_plan import sequence_of
from tests.unit.local.streams import SHARD, MemoryStream, values_of


@pytest.fixture
def stream() -> MemoryStream:
    return MemoryStream()


@pytest.fixture
def feed(stream: MemoryStream) -> StreamFeed:
    return StreamFeed(stream, "arn", shared_seconds=0)


class Reader:
    """A mapping's reader: it remembers its place."""

    def __init__(self, feed: StreamFeed, place: str | None = None) -> None:
        self._feed = feed
        self._place = place
        self.ended = False

    def read(self) -> list[str]:
        page = self._feed.read(SHARD, self._place)
        self.ended = page.ended
        if page.records:
            self._place = sequence_of(page.records[-1])
        return values_of(page.records)


def test_a_reader_gets_what_is_there_and_then_what_comes(stream: MemoryStream, feed: StreamFeed) -> None:
    reader = Reader(feed)
    stream.append("a", "b")
    assert reader.read() == ["a", "b"]
    assert reader.read() == []
    stream.append("c")
    assert reader.read() == ["c"]


def test_what_one_has_read_is_not_fetched_again_for_another(stream: MemoryStream, feed: StreamFeed) -> None:
    first, second = Reader(feed), Reader(feed)
    stream.append("a", "b")
    assert first.read() == ["a", "b"]
    reads = stream.reads
    assert second.read() == ["a", "b"]
    assert stream.reads == reads


def test_readers_that_find_nothing_at_the_same_time_ask_once(stream: MemoryStream) -> None:
    feed = StreamFeed(stream, "arn", shared_seconds=60)
    assert [Reader(feed).read() for _ in range(5)] == [[]] * 5
    assert stream.reads == 1


def test_one_that_lags_behind_reads_for_itself_until_it_has_caught_up(stream: MemoryStream) -> None:
    feed = StreamFeed(stream, "arn", kept=2, shared_seconds=0)
    ahead, behind = Reader(feed), Reader(feed)
    stream.append("a")
    assert (ahead.read(), behind.read()) == (["a"], ["a"])
    for value in "bcde":
        stream.append(value)
        assert ahead.read() == [value]
    assert behind.read() == ["b", "c", "d", "e"]
    stream.append("f")
    assert behind.read() == ["f"]
    reads = stream.reads
    assert ahead.read() == ["f"]
    assert stream.reads == reads


def test_one_that_starts_at_a_checkpoint_gets_what_came_after_it(stream: MemoryStream, feed: StreamFeed) -> None:
    stream.append("a", "b", "c")
    assert Reader(feed, "001").read() == ["b", "c"]
    assert Reader(feed).read() == ["a", "b", "c"]


def test_a_checkpoint_that_the_stream_no_longer_holds_starts_with_the_oldest(stream: MemoryStream) -> None:
    stream.append("a", "b", "c", "d")
    stream.trimmed = 2
    for reader in (Reader(StreamFeed(stream, "arn"), "001"), Reader(StreamFeed(stream, "arn"))):
        assert reader.read() == ["c", "d"]


def test_a_place_lost_while_reading_is_found_again(stream: MemoryStream, feed: StreamFeed) -> None:
    reader = Reader(feed)
    stream.append("a")
    assert reader.read() == ["a"]
    stream.append("b", "c")
    stream.trimmed = 2
    assert [reader.read(), reader.read()] == [[], ["c"]]


def test_the_end_of_a_shard_is_told_with_its_last_records(stream: MemoryStream, feed: StreamFeed) -> None:
    first, second = Reader(feed), Reader(feed)
    stream.append("a")
    stream.close()
    assert [first.read(), second.read()] == [["a"], ["a"]]
    assert first.ended and second.ended


@given(st.lists(st.sampled_from(["write", 0, 1, 2]), max_size=40), st.integers(1, 4))
def test_every_reader_gets_everything_once_and_in_order(steps: list[str | int], kept: int) -> None:
    stream = MemoryStream()
    feed = StreamFeed(stream, "arn", kept=kept, shared_seconds=0)
    readers = [Reader(feed) for _ in range(3)]
    got: list[list[str]] = [[], [], []]
    written: list[str] = []
    for step in steps:
        if isinstance(step, str):
            written.append(str(len(written)))
            stream.append(written[-1])
        else:
            got[step] += readers[step].read()
    for reader, values in zip(readers, got, strict=True):
        while more := reader.read():
            values.extend(more)
    assert got == [written] * 3
