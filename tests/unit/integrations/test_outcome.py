"""What an answer or its absence means."""

from __future__ import annotations

import pytest

from flotilla.errors import RetryableError
from flotilla.integration_ports import CrowdedError, HttpAnswer, NoAnswerError, NotSentError
from flotilla.integrations.outcome import Kind, may_repeat, of_answer, of_cut, of_error
from flotilla.primitives.circuit import CallOutcome

NOW_MS = 1_700_000_000_000


def answer(status: int, **headers: str) -> HttpAnswer:
    return HttpAnswer(status, tuple((name.replace("_", "-"), value) for name, value in headers.items()), b"")


@pytest.mark.parametrize(
    ("status", "headers", "kind", "health"),
    [
        (200, {}, Kind.ANSWERED, CallOutcome.OK),
        (204, {}, Kind.ANSWERED, CallOutcome.OK),
        (301, {}, Kind.REDIRECTED, CallOutcome.OK),
        (304, {}, Kind.REFUSED, CallOutcome.OK),
        (400, {}, Kind.REFUSED, CallOutcome.OK),
        (401, {}, Kind.UNAUTHORIZED, CallOutcome.OK),
        (403, {}, Kind.REFUSED, CallOutcome.OK),
        (404, {}, Kind.REFUSED, CallOutcome.OK),
        (408, {}, Kind.FAILED, CallOutcome.FAILED),
        (409, {}, Kind.REFUSED, CallOutcome.OK),
        (422, {}, Kind.REFUSED, CallOutcome.OK),
        (429, {}, Kind.THROTTLED, CallOutcome.OK),
        (500, {}, Kind.FAILED, CallOutcome.FAILED),
        (501, {}, Kind.REFUSED, CallOutcome.OK),
        (502, {}, Kind.FAILED, CallOutcome.FAILED),
        (503, {}, Kind.FAILED, CallOutcome.FAILED),
        (503, {"retry_after": "3"}, Kind.THROTTLED, CallOutcome.FAILED),
        (504, {}, Kind.FAILED, CallOutcome.FAILED),
    ],
)
def test_statuses(status: int, headers: dict[str, str], kind: Kind, health: CallOutcome) -> None:
    tried = of_answer(answer(status, **headers), NOW_MS)
    assert (tried.kind, tried.health) == (kind, health)


@pytest.mark.parametrize(
    ("header", "expected_ms"),
    [("3", 3000), ("0", 0), (" 7 ", 7000), ("Tue, 14 Nov 2023 22:13:25 GMT", 5000), ("soon", None), ("-1", None)],
)
def test_how_long_it_wants_to_be_left_alone(header: str, expected_ms: int | None) -> None:
    assert of_answer(answer(429, retry_after=header), NOW_MS).retry_after_ms == expected_ms


@pytest.mark.parametrize(
    ("error", "health", "surely_undone"),
    [
        (NoAnswerError("x"), CallOutcome.FAILED, False),
        (NotSentError("x"), CallOutcome.FAILED, True),
        (CrowdedError("x"), CallOutcome.UNKNOWN, True),
    ],
)
def test_no_answer(error: RetryableError, health: CallOutcome, surely_undone: bool) -> None:
    tried = of_error(error)
    assert (tried.kind, tried.health, tried.surely_undone) == (Kind.FAILED, health, surely_undone)


def test_what_may_have_been_done_is_repeated_only_where_twice_is_as_once() -> None:
    maybe_done = [of_error(NoAnswerError("x")), of_answer(answer(500), NOW_MS), of_answer(answer(503), NOW_MS)]
    undone = [of_error(NotSentError("x")), of_answer(answer(429), NOW_MS), of_answer(answer(503, retry_after="1"), 0)]
    assert [may_repeat(tried, idempotent=True) for tried in (*maybe_done, *undone)] == [True] * 6
    assert [may_repeat(tried, idempotent=False) for tried in maybe_done] == [False] * 3
    assert [may_repeat(tried, idempotent=False) for tried in undone] == [True] * 3
    for status in (200, 302, 400, 401, 404, 501):
        assert not may_repeat(of_answer(answer(status), NOW_MS), idempotent=True)


def test_a_call_that_was_cut_short_tells_something_if_it_had_time() -> None:
    assert of_cut(4999, 5000) is CallOutcome.UNKNOWN
    assert of_cut(5000, 5000) is CallOutcome.FAILED
