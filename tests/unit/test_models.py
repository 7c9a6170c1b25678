"""What travels on the lanes: readable across versions, and nothing that is not a task message gets through."""

from __future__ import annotations

import json
import string
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.errors import UnreadableMessageError
from flotilla.models import ErrorInfo, Payload, TaskMessage

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FINITE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
COUNTS = st.integers(0, 10**6)
PAYLOADS = st.builds(Payload, inline=FINITE) | st.builds(
    Payload, ref=st.text(string.ascii_letters, min_size=1), size_bytes=COUNTS, sha256=HEX
)
MESSAGES = st.builds(
    TaskMessage,
    task_id=WORDS,
    tenant=WORDS,
    agent=WORDS,
    agent_version=WORDS,
    lane=WORDS,
    session=st.none() | WORDS,
    seq=COUNTS,
    hash=HEX,
    attempt=COUNTS,
    max_attempts=COUNTS,
    accepted_at_ms=COUNTS,
    deadline_ms=st.none() | COUNTS,
    input=PAYLOADS,
    charged=COUNTS,
    trace=st.none() | WORDS,
    root=st.none() | WORDS,
    depth=COUNTS,
    revision=COUNTS,
    budgets=st.lists(st.tuples(WORDS, st.integers(1, 10**12)), max_size=3).map(tuple),
)
EXAMPLE = TaskMessage(
    task_id="tsk_1",
    tenant="acme",
    agent="sample.echo",
    agent_version="1",
    lane="standard",
    session=None,
    seq=0,
    hash="ab" * 32,
    attempt=0,
    max_attempts=4,
    accepted_at_ms=1_700_000_000_000,
    deadline_ms=None,
    input=Payload(inline={"value": 1}),
)


@given(MESSAGES)
def test_a_message_reads_back_as_it_was_sent(message: TaskMessage) -> None:
    assert TaskMessage.from_body(message.to_body()) == message


def read(body: Any) -> None:
    """Read a body; anything but a message or `UnreadableMessageError` fails the test."""
    try:
        message = TaskMessage.from_body(body)
    except UnreadableMessageError:
        return
    assert message.group
    assert message.deduplication_id


@given(st.text() | st.binary())
def test_no_text_and_no_bytes_break_the_reader(body: Any) -> None:
    read(body)


@given(JSON)
def test_no_json_breaks_the_reader(value: Any) -> None:
    read(json.dumps(value))


@given(st.dictionaries(st.sampled_from([field.name for field in fields(TaskMessage)] + ["v"]), JSON))
def test_no_members_of_the_right_names_break_the_reader(members: dict[str, Any]) -> None:
    read(json.dumps(json.loads(EXAMPLE.to_body()) | members))


@given(JSON)
def test_no_input_breaks_the_reader(value: Any) -> None:
    read(json.dumps(json.loads(EXAMPLE.to_body()) | {"input": value}))
    read(json.dumps(json.loads(EXAMPLE.to_body()) | {"input": {"ref": value, "bytes": 1, "sha256": "x"}}))


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "null",
        "[]",
        "3",
        '"task_id"',
        "{",
        "[" * 100_000,
        '{"a":' * 100_000,
        "\x00",
        "NaN",
        '{"seq":1e999}',
        "9" * 5000,
    ],
)
def test_known_troublemakers_are_refused(body: str) -> None:
    with pytest.raises(UnreadableMessageError):
        TaskMessage.from_body(body)


@pytest.mark.parametrize(
    "member", ["task_id", "tenant", "agent", "agent_version", "lane", "seq", "hash", "max_attempts", "input"]
)
def test_a_message_without_what_it_needs_is_refused(member: str) -> None:
    value = json.loads(EXAMPLE.to_body())
    del value[member]
    with pytest.raises(UnreadableMessageError):
        TaskMessage.from_body(json.dumps(value))


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("seq", "0"),
        ("seq", 1.5),
        ("seq", -1),
        ("seq", None),
        ("attempt", -1),
        ("max_attempts", []),
        ("deadline_ms", "soon"),
        ("session", 1),
        ("task_id", None),
        ("depth", -1),
        ("root", 1),
        ("budgets", [["tsk_1"]]),
        ("budgets", [["tsk_1", 0]]),
        ("budgets", [["tsk_1", "5"]]),
        ("budgets", 5),
        # What is no hash cannot be chained to, and fails only when the event is written.
        ("hash", "zz"),
        ("hash", "ab"),
        ("hash", "AB" * 32 + "0"),
    ],
)
def test_a_member_that_no_version_can_have_written_is_refused(member: str, value: Any) -> None:
    with pytest.raises(UnreadableMessageError):
        TaskMessage.from_body(json.dumps(json.loads(EXAMPLE.to_body()) | {member: value}))


def test_members_of_a_later_version_are_ignored() -> None:
    value = json.loads(EXAMPLE.to_body()) | {"v": 2, "later": {"deep": [1]}}
    value["input"]["later"] = True
    assert TaskMessage.from_body(json.dumps(value)) == EXAMPLE


def test_what_an_earlier_version_did_not_send_takes_its_default() -> None:
    value = json.loads(EXAMPLE.to_body())
    for name in ("v", "session", "attempt", "charged", "deadline_ms", "trace", "root", "depth", "revision", "budgets"):
        del value[name]
    assert TaskMessage.from_body(json.dumps(value)) == EXAMPLE


def test_a_task_without_a_session_is_a_group_of_its_own() -> None:
    assert EXAMPLE.group == "tsk_1"


@given(MESSAGES, WORDS, WORDS)
def test_a_session_is_one_group_for_its_tenant_alone(message: TaskMessage, session: str, tenant: str) -> None:
    mine = replace(message, session=session)
    assert mine.group == replace(mine, task_id="another", seq=mine.seq + 1).group
    theirs = replace(mine, tenant=tenant)
    assert (theirs.group == mine.group) == (tenant == mine.tenant)
    # SQS takes at most 128 letters, digits and punctuation.
    assert len(mine.group) <= 128
    assert mine.group.isascii()
    assert mine.group.isprintable()


@given(MESSAGES)
def test_two_sends_of_one_state_are_one_message_and_of_another_are_two(message: TaskMessage) -> None:
    again = replace(message, trace="another")
    assert again.deduplication_id == message.deduplication_id
    assert replace(message, seq=message.seq + 1).deduplication_id != message.deduplication_id


@given(PAYLOADS)
def test_a_payload_reads_back(payload: Payload) -> None:
    assert Payload.from_json(json.loads(json.dumps(payload.to_json()))) == payload


@given(st.builds(ErrorInfo, code=WORDS, message=WORDS, retryable=st.booleans()))
def test_an_error_reads_back(error: ErrorInfo) -> None:
    assert ErrorInfo.from_json(json.loads(json.dumps(error.to_json()))) == error
