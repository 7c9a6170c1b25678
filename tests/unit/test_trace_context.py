"""The trace a task is part of, in W3C's words and in X-Ray's; nothing is passed on that is not valid by the letter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla import trace_context
from flotilla.trace_context import Trace

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
GIVEN = f"00-{TRACE_ID}-{SPAN_ID}-01"


def hexadecimal(length: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=length, max_size=length).filter(lambda text: bool(text.strip("0")))


@given(hexadecimal(32), hexadecimal(16), st.booleans())
def test_what_is_read_is_what_is_passed_on(trace_id: str, span_id: str, sampled: bool) -> None:
    trace = Trace(trace_id, span_id, sampled)
    assert trace_context.read(trace.traceparent) == trace


@pytest.mark.parametrize(
    ("header", "passed_on"),
    [
        (GIVEN, GIVEN),
        (f"00-{TRACE_ID}-{SPAN_ID}-00", f"00-{TRACE_ID}-{SPAN_ID}-00"),
        # Flags that are not known are not passed on, nor what a later version adds.
        (f"00-{TRACE_ID}-{SPAN_ID}-03", GIVEN),
        (f"cc-{TRACE_ID}-{SPAN_ID}-01-what-the-future-will-be-like", GIVEN),
    ],
)
def test_a_valid_header_is_taken(header: str, passed_on: str) -> None:
    trace = trace_context.read(header)
    assert trace is not None and trace.traceparent == passed_on


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        GIVEN.upper(),
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"{GIVEN}-more",
        f"{GIVEN}.",
        f"cc-{TRACE_ID}-{SPAN_ID}-01.more",
        f" {GIVEN}",
        f"{GIVEN}\n",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"cc-{TRACE_ID}-{SPAN_ID}-01-" + "x" * 600,
        'Root="><script>',
        "Root=1-67891233",
        "Self=1-67891233-abcdef012345678912345678",
        f"Root=1-{'0' * 8}-{'0' * 24}",
    ],
)
def test_what_is_no_trace_is_none(header: str | None) -> None:
    assert trace_context.read(header) is None


@pytest.mark.parametrize(
    ("header", "span_id", "sampled"),
    [
        ("Root=1-67891233-abcdef012345678912345678", "2345678912345678"[:16], None),
        ("Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1", "53995c3f42cd8ad8", True),
        ("Self=1-1-1; Root=1-67891233-abcdef012345678912345678; Sampled=0", "2345678912345678", False),
    ],
)
def test_x_rays_header_names_the_same_trace(header: str, span_id: str, sampled: bool | None) -> None:
    assert trace_context.read(header) == Trace("67891233abcdef012345678912345678", span_id, sampled)


@given(st.text())
def test_a_trace_of_ones_own_is_valid_and_always_the_same(seed: str) -> None:
    trace = trace_context.made(seed)
    assert trace_context.made(seed) == trace
    assert trace_context.read(trace.traceparent) == trace.decided(0)


def test_the_share_is_of_those_that_nobody_decided() -> None:
    made = [trace_context.made(str(number)).decided(0.25) for number in range(4000)]
    assert 900 < sum(bool(trace.sampled) for trace in made) < 1100
    assert not any(trace_context.made(str(number)).decided(0).sampled for number in range(100))
    assert all(trace_context.made(str(number)).decided(1).sampled for number in range(100))
    assert Trace(TRACE_ID, SPAN_ID, False).decided(1).sampled is False


def test_what_is_carried_ends_where_it_was_carried_to() -> None:
    assert trace_context.headers() == ()
    with trace_context.carried(GIVEN):
        assert trace_context.headers() == (("traceparent", GIVEN),)
        with trace_context.carried(None):
            assert trace_context.current() is None
        assert trace_context.current() == Trace(TRACE_ID, SPAN_ID, True)
    assert trace_context.current() is None
