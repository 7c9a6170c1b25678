"""A cause is the same for failures that are alike, and different for those that are not."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.cause import FINGERPRINT_DIGITS, MAX_TEXT_CHARACTERS, cause_of, unreadable_cause
from flotilla.read_model import UnreadableMessage


def text_of(message: str) -> str:
    return cause_of("a", "e", message).text.removeprefix("e: ")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no answer in 12.5 s", "no answer in 30 s"),
        ("task tsk_" + "0a" * 16 + " failed", "task tsk_" + "9f" * 16 + " failed"),
        ("id 7f3a9c12-0000-4000-8000-00805f9b34fb", "id 00000000-1111-4000-8000-00805F9B34FB"),
        ("at 2026-01-02T03:04:05.123Z", "at 2031-12-31 23:59:59+02:00"),
        ("Date: Mon, 01 Jan 2026 10:00:00 GMT", "Date: Tue, 31 Dec 2030 23:59:59 GMT"),
        ("no user 'bob'", "no user 'alice and her friends'"),
        ('unknown key "a b"', 'unknown key "ç"'),
        ("unexpected `x`", "unexpected `y z`"),
        ("GET https://a.example/x?y=1: 503", "GET http://10.0.0.1:8080/: 500"),
        ("mail bob@example.org bounced", "mail a.b+c@mail.example.com bounced"),
        ("cannot read /tmp/a.txt", "cannot read ~/deep/er/b-2.csv"),
        ("cannot read data/in/x.json", "cannot read data/in/y.json"),
        ("cannot read C:\\temp\\x.txt", "cannot read D:\\data\\y.txt"),
        ("pointer 0xdeadbeef", "pointer 0x1"),
        ("commit 7f3a9c1 is bad", "commit 00ab12cd34 is bad"),
        ("request XV4K2J8VJF66Q9ASUAAJG", "request 1AAAAAAAAAAAAAAAAAAA2"),
        ("missing [1, 2, 3]", "missing [4]"),
        ("worker12 of 99 refused 10.0.0.1:80", "worker7 of 5 refused 192.168.1.254:443"),
        ("a  \n\t b", "a b"),
    ],
)
def test_what_differs_from_task_to_task_makes_no_other_cause(one: str, other: str) -> None:
    assert cause_of("a", "e", one) == cause_of("a", "e", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the facade decade was defaced", "the decade facade was defaced"),
        ("cannot read", "cannot write"),
        ("can't do what the user's agent isn't told", "can't do what the user's agent is told"),
        ("and/or", "either/or"),
        ("no such file '/tmp/x'", "no such file"),
    ],
)
def test_words_are_what_tells_causes_apart(one: str, other: str) -> None:
    assert cause_of("a", "e", one) != cause_of("a", "e", other)


def test_agents_and_codes_tell_causes_apart() -> None:
    causes = {cause_of(agent, code, "busy").fingerprint for agent in ("a", "b") for code in ("x", "y1")}
    assert len(causes) == 4


def test_a_person_can_still_read_it() -> None:
    message = "task tsk_0123456789abcdef0123456789abcdef: no 'page 7' at https://x.example/a within 30.5 s"
    assert text_of(message) == "task tsk_<id>: no <text> at <url> within <n> s"
    assert cause_of("a", "timeout", "  ").text == "timeout"


@given(st.text(), st.text(), st.text())
def test_any_failure_has_a_short_cause_on_one_line(agent: str, code: str, message: str) -> None:
    cause = cause_of(agent, code, message)
    assert cause == cause_of(agent, code, message)
    assert len(cause.text) <= MAX_TEXT_CHARACTERS
    assert len(cause.fingerprint) == FINGERPRINT_DIGITS
    assert "\n" not in cause.text.removeprefix(code[:MAX_TEXT_CHARACTERS])


@given(
    st.integers(0),
    st.floats(0, allow_infinity=False),
    st.uuids(),
    st.datetimes(datetime(1000, 1, 1)),  # noqa: DTZ001 - no time zone is a case of its own
)
def test_values_never_tell_causes_apart(number: int, real: float, an_id: UUID, at: datetime) -> None:
    message = f"item {number} of {an_id} took {real} s at {at}"
    assert text_of(message) == "item <n> of <id> took <n> s at <time>"


def test_a_hostile_message_takes_no_longer_than_a_friendly_one() -> None:
    """Not a clock: what is looked at is bounded."""
    assert cause_of("a", "e", "x " * 1_000 + "1").text == cause_of("a", "e", "x " * 1_000_000).text


def test_unreadable_messages_are_counted_by_what_is_wrong_with_them() -> None:
    one, other = (
        UnreadableMessage(f"m{number}", "standard", f"body {number}", "not a task message: KeyError", number)
        for number in (1, 2)
    )
    assert unreadable_cause(one) == unreadable_cause(other)
