"""Calls: what is repeated and what is not, within which time, and what everybody is told of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fault_lab.script import Fault, Phase, Reply, Script
from flotilla.errors import (
    AttemptRevokedError,
    CircuitOpenError,
    FlotillaError,
    LimitedError,
    ParkedError,
    PermanentError,
    RetryableError,
)
from flotilla.integrations.response import IntegrationRefusedError
from flotilla.primitives.circuit import CallOutcome
from tests.fakes.integrations import MemorySecrets
from tests.unit.integrations.calling import Calling, Supervised, replies
from tests.unit.integrations.declarations import crm

OK, FAILED, UNKNOWN = CallOutcome.OK, CallOutcome.FAILED, CallOutcome.UNKNOWN
DOWN, BUSY = Reply(status=503), Reply(status=429, headers={"Retry-After": "2"})


def test_a_healthy_call_is_one_request_one_permit_and_one_question() -> None:
    calling = Calling()
    response = calling.run(lambda crm: crm.get("/customers/1", params={"full": True}))
    assert (response.status, response.json()["path"]) == (200, "/v2/customers/1?full=true")
    assert calling.protection.outcomes() == [OK]
    assert calling.supervised.asked == 1
    (ask,) = calling.protection.asked
    assert (ask.agent, ask.tenant, ask.lease_ms) == ("document.analyze", "acme", 30_000)


def test_what_fails_is_repeated_and_each_request_asks_and_is_recorded() -> None:
    calling = Calling(replies(DOWN, Reply(fault="reset"), Reply()))
    assert calling.run(lambda crm: crm.get("/")).status == 200
    assert calling.protection.outcomes() == [FAILED, FAILED, OK]
    assert calling.supervised.asked == 3


def test_what_fails_every_time_fails_and_says_how() -> None:
    calling = Calling(Script.steady(DOWN))
    with pytest.raises(RetryableError) as failure:
        calling.run(lambda crm: crm.get("/"))
    assert not isinstance(failure.value, ParkedError)
    assert (failure.value.code, failure.value.message) == ("integration_failed", "integration crm answered 503")
    assert len(calling.sent_at) == 3


def test_whose_failure_opens_the_circuit_waits_with_the_others() -> None:
    calling = Calling(Script.steady(DOWN))
    calling.protection.hold_after = CircuitOpenError("integration#crm", retry_after_seconds=9)
    with pytest.raises(CircuitOpenError) as failure:
        calling.run(lambda crm: crm.get("/"))
    assert failure.value.retry_after_seconds == 9


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 501])
def test_the_callers_own_error_is_permanent_and_not_repeated(status: int) -> None:
    calling = Calling(Script.steady(Reply(status=status, body=b"why")))
    with pytest.raises(IntegrationRefusedError) as refusal:
        calling.run(lambda crm: crm.get("/"))
    assert (refusal.value.status, refusal.value.response.text) == (status, "why")
    assert calling.protection.outcomes() == [OK]


def test_statuses_that_the_caller_accepts_are_answers() -> None:
    calling = Calling(replies(Reply(status=404), Reply(status=500), Reply(status=302)))

    async def three(crm: Any) -> list[int]:
        return [(await crm.get("/", accept=(404, 500, 302))).status for _ in range(3)]

    assert calling.run(three) == [404, 500, 302]
    assert calling.protection.outcomes() == [OK, FAILED, OK], "what it says about health does not change"


def test_who_is_asked_to_wait_waits_as_long_and_then_asks_again() -> None:
    calling = Calling(replies(BUSY, Reply()))
    assert calling.run(lambda crm: crm.get("/")).status == 200
    first, second = calling.sent_at
    assert second - first >= 2
    assert calling.protection.recorded[0].retry_after_ms == 2000


def test_who_is_asked_to_wait_longer_than_there_is_time_parks_at_once() -> None:
    calling = Calling(Script.steady(Reply(status=429, headers={"Retry-After": "3600"})))
    with pytest.raises(LimitedError) as parked:
        calling.run(lambda crm: crm.get("/"))
    assert (parked.value.code, parked.value.retry_after_seconds) == ("throttled", 3600)
    assert calling.sent_at == [0.0]


def test_without_a_key_that_the_other_side_knows_what_may_have_been_done_is_not_repeated() -> None:
    keyless = crm('idempotency_header = ""')
    for fault, tries in ((Reply(fault="reset"), 1), (DOWN, 1), (BUSY, 3)):
        calling = Calling(Script.steady(fault), keyless)
        with pytest.raises(FlotillaError):
            calling.run(lambda crm: crm.post("/", json={}))
        assert len(calling.sent_at) == tries
    unreachable = Calling(integration=keyless)
    unreachable.transport.reachable = False
    with pytest.raises(ParkedError) as failure:
        unreachable.run(lambda crm: crm.post("/", json={}))
    assert failure.value.code == "integration_unreachable"
    assert unreachable.protection.outcomes() == [FAILED] * 3


def test_where_nobody_is_reached_no_task_is_to_blame_however_often() -> None:
    calling = Calling()
    calling.transport.reachable = False
    with pytest.raises(ParkedError) as failure:
        calling.run(lambda crm: crm.get("/"))
    assert failure.value.code == "integration_unreachable"
    assert failure.value.retry_after_seconds >= 1
    assert calling.protection.outcomes() == [FAILED] * 3


def test_that_this_process_is_crowded_says_nothing_about_the_other_side() -> None:
    calling = Calling()
    calling.transport.crowded = True
    with pytest.raises(ParkedError) as failure:
        calling.run(lambda crm: crm.get("/"))
    assert failure.value.code == "integration_crowded"
    assert set(calling.protection.outcomes()) == {UNKNOWN}


@pytest.mark.parametrize("reply", [Reply(fault="stall"), Reply(latency_ms=(9_900, 9_900), status=503)])
def test_a_call_ends_with_its_total_to_the_millisecond(reply: Reply) -> None:
    calling = Calling(Script.steady(reply), crm("timeouts.total_seconds = 12.345"))

    async def timed(crm: Any) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(RetryableError) as failure:
            await crm.get("/")
        assert failure.value.code == "integration_timeout"
        return loop.time() - began

    assert calling.run(timed) == pytest.approx(12.345, abs=0.001)
    assert len(calling.protection.recorded) == 2, "also the request that was cut short"


@pytest.mark.parametrize(("attempt_seconds", "given", "expected"), [(5, None, 4.98), (60, 1.5, 1.5), (60, 90, 30)])
def test_a_call_ends_before_its_attempt_and_as_its_caller_says(
    attempt_seconds: float, given: float | None, expected: float
) -> None:
    slow = crm("timeouts.read_seconds = 30")
    calling = Calling(Script.steady(Reply(fault="stall")), slow, attempt_seconds=attempt_seconds)

    async def timed(crm: Any) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(RetryableError):
            await crm.get("/", timeout_seconds=given)
        return loop.time() - began

    assert calling.run(timed) == pytest.approx(expected, abs=0.001)


def test_no_call_is_begun_without_time() -> None:
    for options, seconds in (({}, 0.01), ({"timeout_seconds": 0}, 60.0)):
        calling = Calling(attempt_seconds=seconds)
        with pytest.raises(FlotillaError):
            calling.run(lambda crm, options=options: crm.get("/", **options))
        assert calling.sent_at == []


def test_a_request_that_had_no_time_to_be_answered_says_nothing_about_the_other_side() -> None:
    for seconds, outcome in ((1.0, UNKNOWN), (8.0, FAILED)):
        calling = Calling(Script.steady(Reply(fault="stall")))
        with pytest.raises(RetryableError):
            calling.run(lambda crm, seconds=seconds: crm.get("/", timeout_seconds=seconds))
        assert calling.protection.outcomes() == [outcome]


def test_an_agent_that_gives_up_waiting_is_let_go_and_the_request_is_recorded() -> None:
    calling = Calling(Script.steady(Reply(fault="stall")))

    async def impatient(crm: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await crm.get("/")

    calling.run(impatient)
    assert calling.protection.outcomes() == [UNKNOWN]


FAULTS: list[Fault | None] = [None, "stall", "reset", "cut", "drip"]
REPLIES = st.builds(
    Reply,
    status=st.sampled_from([200, 302, 401, 404, 429, 500, 503]),
    latency_ms=st.integers(0, 15_000).map(lambda ms: (float(ms), float(ms))),
    headers=st.sampled_from(
        [{}, {"Retry-After": "0"}, {"Retry-After": "1"}, {"Retry-After": "100"}, {"Location": "/v2/b"}]
    ),
    body=st.sampled_from([b"", b"{}", b"x" * 2000]),
    fault=st.sampled_from(FAULTS),
)


@given(
    st.lists(REPLIES, min_size=1, max_size=8),
    st.integers(1, 40_000),
    st.sampled_from(["GET", "POST", "PUT"]),
    st.floats(0.05, 50),
)
def test_whatever_the_other_side_does_a_call_keeps_to_its_time_and_attempts_and_raises_what_it_says(
    each: list[Reply], total_ms: int, method: str, attempt_seconds: float
) -> None:
    read_ms = min(total_ms, 10_000)
    timeouts = {"connect_seconds": read_ms, "read_seconds": read_ms, "total_seconds": total_ms}
    settings = "".join(f"timeouts.{name} = {ms / 1000}\n" for name, ms in timeouts.items())
    calling = Calling(replies(*each), crm(settings + "response_bytes = 1000"), attempt_seconds=attempt_seconds)
    budget = min(total_ms / 1000, attempt_seconds - 0.02)

    async def timed(crm: Any) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with suppress(RetryableError, PermanentError, LimitedError):
            response = await crm.request(method, "/a")
            assert 200 <= response.status < 300
        return loop.time() - began

    assert calling.run(timed) <= max(0.0, budget) + 0.002
    asked = calling.protection.asked
    assert len(calling.protection.recorded) == len(asked), "each permit is recorded"
    assert len(asked) <= 3 + 3, "attempts, and redirects that were followed"
    assert len(set(calling.keys())) <= 1, "a repetition has the key of the first"


def test_a_refusal_of_the_protection_parks_and_sends_nothing() -> None:
    calling = Calling()
    calling.protection.refusal = lambda _number: CircuitOpenError("integration#crm", retry_after_seconds=7)
    with pytest.raises(CircuitOpenError):
        calling.run(lambda crm: crm.get("/"))
    assert calling.sent_at == []


def test_a_circuit_that_opens_between_two_tries_stops_the_second() -> None:
    calling = Calling(Script.steady(DOWN))
    calling.protection.refusal = lambda number: CircuitOpenError("crm", retry_after_seconds=7) if number else None
    with pytest.raises(CircuitOpenError):
        calling.run(lambda crm: crm.get("/"))
    assert len(calling.sent_at) == 1


@pytest.mark.parametrize("refusal", [AttemptRevokedError("cancelled"), ParkedError("paused", code="paused")])
def test_a_task_that_may_not_go_on_calls_nobody(refusal: FlotillaError) -> None:
    calling = Calling(supervised=Supervised(refusal))
    with pytest.raises(type(refusal)):
        calling.run(lambda crm: crm.get("/"))
    assert calling.protection.asked == []


@pytest.mark.parametrize("name", ["erp", "", "CRM"])
def test_an_integration_that_the_agent_does_not_declare_is_refused(name: str) -> None:
    with pytest.raises(PermanentError) as refusal:
        Calling().client(name)
    assert refusal.value.code == "integration_not_declared"


def test_who_declares_all_may_call_all_that_there_are_and_no_others() -> None:
    anybody = Calling(allowed=("*",))
    anybody.client("crm")
    with pytest.raises(PermanentError) as refusal:
        anybody.client("erp")
    assert refusal.value.code == "integration_not_declared"


def test_a_rotated_secret_costs_one_request_more() -> None:
    guarded = crm('auth.secret = "crm/token"')
    calling = Calling(
        replies(Reply(), Reply(status=401), Reply()), guarded, secrets=MemorySecrets({"crm/token": "one"})
    )

    async def rotated(crm: Any) -> int:
        await crm.get("/")
        await asyncio.sleep(15)
        calling.secrets.texts["crm/token"] = "two"
        return int((await crm.get("/")).status)

    assert calling.run(rotated) == 200
    sent = [dict(request.headers)["authorization"] for _, request in calling.transport.sent]
    assert sent == ["Bearer one", "Bearer one", "Bearer two"]
    assert calling.protection.outcomes() == [OK, OK, OK]


def test_a_secret_that_stays_wrong_is_a_refusal() -> None:
    guarded = crm('auth.secret = "crm/token"')
    calling = Calling(Script.steady(Reply(status=401)), guarded, secrets=MemorySecrets({"crm/token": "one"}))
    with pytest.raises(IntegrationRefusedError) as refusal:
        calling.run(lambda crm: crm.get("/"))
    assert refusal.value.status == 401
    assert "one" not in refusal.value.message


def test_a_redirect_within_the_integration_is_followed_by_who_only_looks() -> None:
    there = Reply(status=307, headers={"Location": "/v2/elsewhere"})
    calling = Calling(replies(there, Reply()))
    assert calling.run(lambda crm: crm.get("/")).json()["path"] == "/v2/elsewhere"
    assert calling.protection.outcomes() == [OK, OK]
    for script, method in (
        (replies(there, Reply()), "POST"),
        (Script.steady(there), "GET"),
        (Script.steady(Reply(status=302, headers={"Location": "https://evil.example/v2/x"})), "GET"),
        (Script.steady(Reply(status=302)), "GET"),
    ):
        refused = Calling(script)
        with pytest.raises(IntegrationRefusedError) as refusal:
            refused.run(lambda crm, method=method: crm.request(method, "/"))
        assert refusal.value.code == "integration_redirect"
        assert "evil" not in refusal.value.message
        assert len(refused.sent_at) <= 4
        assert {request.origin for _, request in refused.transport.sent} == {"https://api.crm.example"}


def test_an_answer_that_is_too_long_is_not_asked_for_again() -> None:
    calling = Calling(Script.steady(Reply(body=b"x" * 1001)), crm("response_bytes = 1000"))
    with pytest.raises(PermanentError) as refusal:
        calling.run(lambda crm: crm.get("/"))
    assert refusal.value.code == "integration_answer_unusable"
    assert calling.protection.outcomes() == [OK]


def test_calls_that_change_something_carry_a_key_of_their_own_that_is_the_same_in_every_attempt() -> None:
    async def effects(crm: Any) -> None:
        await crm.post("/a", json=1)
        await crm.post("/a", json=1)
        await crm.patch("/a", json=1)
        await crm.post("/b", effect="b")
        await crm.put("/a", json=1)
        await crm.delete("/a")
        await crm.get("/a")

    attempts = []
    for _ in range(2):
        calling = Calling()
        calling.run(effects)
        attempts.append(calling.keys())
    assert attempts[0] == attempts[1]
    *keys, put, delete, get = attempts[0]
    assert (put, delete, get) == (None, None, None)
    assert None not in keys
    assert len(set(keys)) == 4
    other = Calling(task_id="tsk_2")
    other.run(effects)
    assert not set(other.keys()) & set(keys)


def test_repetitions_of_a_call_carry_the_same_key() -> None:
    calling = Calling(replies(Reply(fault="reset"), DOWN, Reply()))
    calling.run(lambda crm: crm.post("/", json={}))
    assert len(set(calling.keys())) == 1
    assert len(calling.keys()) == 3


def test_what_cannot_be_sent_takes_no_permit() -> None:
    calling = Calling()
    with pytest.raises(PermanentError):
        calling.run(lambda crm: crm.get("/../admin"))
    assert (calling.protection.asked, calling.sent_at) == ([], [])


def test_an_outage_that_ends_is_over_for_who_comes_later() -> None:
    script = Script((Phase((DOWN,), seconds=20), Phase((Reply(),))))
    calling = Calling(script)

    async def later(crm: Any) -> list[object]:
        outcomes: list[object] = []
        for _ in range(3):
            try:
                outcomes.append((await crm.get("/")).status)
            except RetryableError as error:
                outcomes.append(error.code)
            await asyncio.sleep(15)
        return outcomes

    assert calling.run(later) == ["integration_failed", "integration_failed", 200]
