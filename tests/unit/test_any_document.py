"""Whatever stands where a document is read, its reader takes it or says in its own words that it is none.

Documents are broken in every place: a member is left out, or something else stands there, however deep, long or odd.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.dynamo.event_log import from_item, to_item
from flotilla.dynamo.stream import appended
from flotilla.errors import CorruptLogError, PermanentError, RetryableError, UnreadableMessageError
from flotilla.events import Event
from flotilla.events.archive_file import logs_in, pack
from flotilla.events.told import tell, untell_log
from flotilla.models import Payload, TaskMessage, WorkflowStep
from flotilla.workflows.order import RunHeader, body_without_token, read_wanted
from functions.worker.agents.document_set.manifest import listed_in
from tests.logs import log_of

TASK = "tsk_" + "0" * 32
DEEP = 3000
"""Deeper than the interpreter's stack is by default."""

TOO_DEEP = ["[" * DEEP, '{"a":' * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP]

ODD = st.sampled_from(
    [None, True, -1, 0, 2**63, 1.5, float("nan"), float("inf"), "", "\0", "\ud800", "9" * 5000, "x" * 70_000, [], {}]
)
JSON = st.recursive(
    ODD | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def accepted() -> Event:
    return log_of(task_id=TASK)[0]


def message() -> Any:
    body = TaskMessage(
        task_id=TASK,
        tenant="acme",
        agent="document.analyze",
        agent_version="1",
        lane="standard",
        session="s",
        seq=0,
        hash="a" * 64,
        attempt=0,
        max_attempts=3,
        accepted_at_ms=1,
        deadline_ms=None,
        input=Payload(inline={"text": "hello"}),
        budgets=(),
        workflow=WorkflowStep(run="wfl_1", step="Extract", token="t"),
    ).to_body()
    return json.loads(body)


def order() -> Any:
    header = RunHeader(run="wfl_1", tenant="acme", name="analysis", lane=None, depth=0, root=None, deadline_ms=None)
    return {
        "workflow": header.to_json(),
        "state": {"Name": "Extract", "RetryCount": 0},
        "token": "t",
        "agent": "document.analyze",
        "input": {"text": "hello"},
        "timeout_seconds": 60,
    }


def as_text(value: Any) -> str:
    return json.dumps(value)


@dataclass(frozen=True)
class Reader:
    """A reader, a document that it takes, and what it may say of one that it does not."""

    read: Callable[[Any], object]
    document: Callable[[], Any]
    says: tuple[type[Exception], ...]


def listed(value: Any) -> list[object]:
    return list(listed_in((as_text(value) + "\n").encode()))


READERS = {
    "message": Reader(lambda value: read_wanted(as_text(value)), message, (UnreadableMessageError,)),
    "order": Reader(lambda value: read_wanted(as_text(value)), order, (UnreadableMessageError,)),
    "order to be shown": Reader(lambda value: body_without_token(as_text(value)), order, ()),
    "item": Reader(from_item, lambda: to_item(accepted(), 1_800_000_000), (CorruptLogError, RetryableError)),
    "stream record": Reader(
        lambda value: appended({"eventName": "INSERT", "dynamodb": {"NewImage": value}}),
        lambda: as_record(to_item(accepted(), 1_800_000_000)),
        (CorruptLogError, RetryableError),
    ),
    "archive": Reader(
        lambda value: logs_in(gzip.compress((as_text(value) + "\n").encode())),
        lambda: json.loads(gzip.decompress(pack([[accepted()]]))),
        (CorruptLogError,),
    ),
    "told log": Reader(lambda value: untell_log([value], task_id=TASK), lambda: tell(accepted()), (CorruptLogError,)),
    "manifest": Reader(listed, lambda: {"id": "note", "text": "hello"}, (PermanentError,)),
}


def as_record(item: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value for name, value in item.items()
    }


def places(value: Any) -> list[tuple[Any, ...]]:
    """The path of everything in a document, itself included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *((key, *path) for key, each in inner for path in places(each))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


def left_out(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return None
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = left_out(value[path[0]], path[1:])
    return copy


def takes_or_says(reader: Reader, value: Any) -> None:
    with contextlib.suppress(*reader.says):
        reader.read(value)


@pytest.mark.parametrize("name", READERS)
def test_a_whole_document_is_read(name: str) -> None:
    READERS[name].read(READERS[name].document())


@pytest.mark.parametrize("name", READERS)
def test_a_document_that_lacks_anything_is_read_or_refused(name: str) -> None:
    reader = READERS[name]
    for path in places(reader.document()):
        takes_or_says(reader, left_out(reader.document(), path))


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_document_with_anything_anywhere_is_read_or_refused(name: str, data: st.DataObject) -> None:
    reader = READERS[name]
    value = reader.document()
    for _ in range(data.draw(st.integers(1, 2))):
        value = replaced(value, data.draw(st.sampled_from(places(value))), data.draw(JSON))
    takes_or_says(reader, value)


@pytest.mark.parametrize(
    "text", ["[" * DEEP, '{"a":' * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP]
)
def test_what_is_too_deep_is_refused(text: str) -> None:
    with pytest.raises(UnreadableMessageError):
        read_wanted(text)
    with pytest.raises(CorruptLogError):
        logs_in(gzip.compress(text.encode()))
    with pytest.raises(PermanentError):
        list(listed_in(text.encode()))
    assert body_without_token(text) == text


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_document_are_refused(content: bytes) -> None:
    with pytest.raises(CorruptLogError):
        logs_in(content)
    with pytest.raises(UnreadableMessageError):
        read_wanted(content.decode("latin-1"))


@settings(deadline=None)
@given(st.data())
def test_an_archive_that_was_cut_or_altered_is_refused_or_is_what_it_was(data: st.DataObject) -> None:
    whole = pack([[accepted()]])
    at = data.draw(st.integers(0, len(whole) - 1))
    altered = data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]]))
    try:
        found = logs_in(altered)
    except CorruptLogError:
        return
    assert found == {TASK: [accepted()]}, "only the header's own bytes may differ"
