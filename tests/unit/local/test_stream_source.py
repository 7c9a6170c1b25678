"""A stream's source gathers records for its mapping's window, applies its filter, and remembers what is done with."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.event_sources.activity import Activity
from local.event_sources.invocation import Invoker
from local.event_sources.mappings import read_mapping
from local.event_sources.slots import Limits, SlotLedger
from local.event_sources.stream_feed import StreamFeed
from local.event_sources.stream_source import StreamSource
from tests.unit.local.streams import SHARD, MemoryStream, values_of

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/1"
WAIT_SECONDS = 20.0


class Function:
    """A Lambda client with one function, which keeps its batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self._changed = threading.Condition()

    def invoke(self, *, FunctionName: str, Payload: str) -> Mapping[str, Any]:  # noqa: N803
        with self._changed:
            self.batches.append(values_of(json.loads(Payload)["Records"]))
            self._changed.notify_all()
        return {"Payload": io.BytesIO(b'{"batchItemFailures": []}')}

    @property
    def values(self) -> list[str]:
        return [value for batch in self.batches for value in batch]

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.values) >= count, WAIT_SECONDS), self.batches


class Setting:
    """A stream, a function, and the sources between them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stream = MemoryStream()
        self.activity = Activity()
        self._feed = StreamFeed(self.stream, STREAM)
        self._ledger = SlotLedger()
        self._sources: list[StreamSource] = []

    def start(self, uuid: str = "u", **settings: Any) -> Function:
        function = Function()
        mapping = read_mapping(
            {
                "UUID": uuid,
                "EventSourceArn": STREAM,
                "FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{uuid}",
                "State": "Enabled",
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                **settings,
            }
        )
        self._ledger.set_limits(uuid, Limits(mapping.function))
        source = StreamSource(
            mapping,
            feed=self._feed,
            activity=self.activity,
            notify=lambda arn, text: None,
            invoker=Invoker(function, threading.Event()),
            ledger=self._ledger,
            checkpoints=self.directory,
            clock=lambda: datetime(2026, 1, 1, tzinfo=UTC).timestamp(),
        )
        self._sources.append(source)
        source.start()
        return function

    def checkpoint(self, uuid: str) -> str | None:
        place: str | None = json.loads((self.directory / f"{uuid}.json").read_text())["shards"].get(SHARD)
        return place

    def stop(self) -> None:
        for source in self._sources:
            source.request_stop()
        for source in self._sources:
            source.join(WAIT_SECONDS)
            assert not source.is_alive()
        self._sources.clear()


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(tmp_path)
    yield setting
    setting.stop()


def test_what_comes_within_the_window_is_one_batch(setting: Setting) -> None:
    setting.stream.append("a")
    function = setting.start(MaximumBatchingWindowInSeconds=10)
    setting.stream.append("b", "c")
    function.wait_for(3)
    assert function.batches == [["a", "b", "c"]]


def test_a_full_batch_waits_for_no_window(setting: Setting) -> None:
    setting.stream.append("a", "b", "c", "d", "e")
    function = setting.start(MaximumBatchingWindowInSeconds=300, BatchSize=2)
    function.wait_for(4)
    assert function.batches == [["a", "b"], ["c", "d"]]


def test_a_shard_that_has_ended_waits_for_no_window(setting: Setting) -> None:
    setting.stream.append("a")
    setting.stream.close()
    function = setting.start(MaximumBatchingWindowInSeconds=300)
    function.wait_for(1)
    assert function.batches == [["a"]]


def test_each_mapping_gets_all_that_its_filter_passes_and_keeps_a_place_of_its_own(setting: Setting) -> None:
    pattern = json.dumps({"eventName": ["INSERT"]})
    everything = setting.start("everything")
    appended = setting.start("appended", FilterCriteria={"Filters": [{"Pattern": pattern}]})
    for number in range(20):
        setting.stream.append(str(number), event_name="REMOVE" if number % 3 == 2 else "INSERT")
        setting.activity.stir()
    everything.wait_for(20)
    appended.wait_for(14)
    setting.stop()
    assert everything.values == [str(number) for number in range(20)]
    assert appended.values == [str(number) for number in range(20) if number % 3 != 2]
    assert (setting.checkpoint("everything"), setting.checkpoint("appended")) == ("020", "020")


def test_after_a_stop_it_goes_on_where_it_was(setting: Setting) -> None:
    setting.stream.append("a", "b")
    setting.start().wait_for(2)
    setting.stop()
    setting.stream.append("c")
    again = setting.start()
    again.wait_for(1)
    assert again.batches == [["c"]]


def test_a_filter_that_is_not_known_here_leaves_nothing_out(setting: Setting) -> None:
    pattern = json.dumps({"eventName": [{"prefix": "IN"}]})
    setting.stream.append("a", event_name="REMOVE")
    function = setting.start(FilterCriteria={"Filters": [{"Pattern": pattern}]})
    function.wait_for(1)
    assert function.batches == [["a"]]
