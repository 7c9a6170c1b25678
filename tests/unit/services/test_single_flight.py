"""Identical tasks run once, whatever becomes of the one that runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from flotilla.agents.catalog import AgentSpec
from flotilla.errors import StoreUnavailableError
from flotilla.events import GENESIS_HASH, Event, Kind, chain, fold
from flotilla.models import Payload, TaskMessage, canonical_json
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import message_for
from flotilla.services.single_flight import Answer, Decision, Lead, SingleFlight, Wait, flight_key
from tests.agent_specs import agent_spec
from tests.fakes import ManualClock, MemoryEventLog, MemoryPayloadStore
from tests.fakes.flights import MemoryFlights
from tests.logs import BODIES

TTL_SECONDS = 3600
INLINE_BYTES = 1000
SUCCESS = {"output": {"inline": {"value": 2}}, "usage": {}}

SPEC = agent_spec("sample.echo", cache_ttl_seconds=TTL_SECONDS)


class Payloads(MemoryPayloadStore):
    """A payload store that can be down."""

    down = False

    async def get(self, key: str) -> bytes:
        if self.down:
            raise StoreUnavailableError("the payload store did not answer")
        return await super().get(key)


class Log(MemoryEventLog):
    """An event log that knows which logs were read whole."""

    def __init__(self) -> None:
        super().__init__()
        self.read_whole: list[str] = []

    async def read(self, task_id: str) -> list[Event]:
        self.read_whole.append(task_id)
        return await super().read(task_id)


class Sky:
    """Tasks of one agent, and the flight that decides which of them run."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = Log()
        self.flights = MemoryFlights()
        self.payloads = Payloads()
        self.claim_check = ClaimCheck(self.payloads, INLINE_BYTES)
        self.flight = SingleFlight(self.flights, self.log, self.claim_check, self.clock, random.Random(3))

    def accept(self, task_id: str, value: Any = 1, **body: Any) -> None:
        self.log.logs[task_id] = {}
        self.add(task_id, Kind.ACCEPTED, **({"input": {"inline": {"value": value}}} | body))

    def add(self, task_id: str, kind: Kind, *, at_ms: int | None = None, **body: Any) -> Event:
        """Append an event to a task's log, now."""
        log = self.log.logs[task_id]
        head = log[max(log)] if log else None
        event = chain(
            task_id=task_id,
            seq=len(log),
            kind=kind,
            at_ms=self.clock.now_ms() if at_ms is None else at_ms,
            actor="worker:w",
            attempt=sum(event.kind is Kind.STARTED for event in log.values()) + (kind is Kind.STARTED),
            body=BODIES[kind] | body,
            prev_hash=GENESIS_HASH if head is None else head.hash,
        )
        log[event.seq] = event
        return event

    def succeed(self, task_id: str, **body: Any) -> None:
        self.add(task_id, Kind.STARTED)
        self.add(task_id, Kind.SUCCEEDED, **(SUCCESS | body))

    def message(self, task_id: str) -> TaskMessage:
        return message_for(fold([event for _, event in sorted(self.log.logs[task_id].items())]))

    async def decide(self, task_id: str, *, parked_for_ms: int = 0, spec: AgentSpec = SPEC) -> Decision:
        return await self.flight.decide(spec, self.message(task_id), parked_for_ms)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@pytest.fixture
def sky() -> Sky:
    """A task `a` that leads, and an identical one `b`."""
    made = Sky()
    made.accept("a")
    made.accept("b")
    assert run(made.decide("a")) == Lead()
    return made


def leader_of(sky: Sky) -> str:
    ((leader, _),) = sky.flights.leaders.values()
    return leader


# Who leads, who waits, who is answered.


def test_the_first_leads_and_an_identical_one_waits_for_it(sky: Sky) -> None:
    decision = run(sky.decide("b"))
    assert isinstance(decision, Wait)
    assert decision.leader == "a"


def test_the_leader_leads_again_however_often_it_asks(sky: Sky) -> None:
    """Its answer may be lost, its worker may die before the start, its attempts may fail."""
    sky.add("a", Kind.STARTED)
    sky.add("a", Kind.ATTEMPT_FAILED)
    assert run(sky.decide("a")) == Lead()


def test_a_result_answers_whoever_asks_while_it_is_fresh(sky: Sky) -> None:
    sky.succeed("a")
    assert run(sky.decide("b")) == Answer(Payload(inline={"value": 2}), "a")


def test_an_agent_that_is_not_cached_always_runs_and_asks_nobody() -> None:
    sky = Sky()
    sky.accept("a")
    assert run(sky.decide("a", spec=replace(SPEC, cache_ttl_seconds=None))) == Lead()
    assert sky.flights.calls == 0


def test_a_hundred_identical_tasks_make_one_leader_and_a_hundred_answers() -> None:
    sky = Sky()
    tasks = [f"t{number}" for number in range(100)]
    for task in tasks:
        sky.accept(task)

    async def all_at_once() -> list[Decision]:
        return list(await asyncio.gather(*(sky.decide(task) for task in tasks)))

    first = run(all_at_once())
    assert [type(decision) for decision in first].count(Lead) == 1
    leader = tasks[first.index(Lead())]
    sky.succeed(leader)
    tasks.remove(leader)
    assert run(all_at_once()) == [Answer(Payload(inline={"value": 2}), leader)] * 99


# What is identical.


@pytest.mark.parametrize(
    ("other", "spec"),
    [
        ({"tenant": "other"}, SPEC),
        ({"input": {"inline": {"value": 2}}}, SPEC),
        ({}, replace(SPEC, name="sample.other")),
        ({}, replace(SPEC, version="2")),
    ],
    ids=["tenant", "input", "agent", "version"],
)
def test_another_tenant_input_agent_or_version_is_another_key(sky: Sky, other: dict[str, Any], spec: AgentSpec) -> None:
    sky.succeed("a")
    sky.accept("c", **other)
    assert run(sky.decide("c", spec=spec)) == Lead()


def test_an_input_in_the_payload_store_is_the_same_as_the_same_one_in_the_message(sky: Sky) -> None:
    value = {"value": 1}
    large = run(ClaimCheck(sky.payloads, 0).check_in("acme", "c", value))
    assert large.ref is not None
    inline, referred = sky.message("a"), replace(sky.message("a"), input=large)
    assert flight_key(SPEC, inline) == flight_key(SPEC, referred)


def test_members_of_an_input_have_no_order(sky: Sky) -> None:
    one = replace(sky.message("a"), input=Payload(inline={"x": 1, "y": [1.5]}))
    other = replace(sky.message("a"), input=Payload(inline={"y": [1.5], "x": 1}))
    assert flight_key(SPEC, one) == flight_key(SPEC, other)


def test_a_leader_that_was_redriven_with_another_input_answers_nobody(sky: Sky) -> None:
    sky.add("a", Kind.STARTED)
    sky.add("a", Kind.DEAD_LETTERED)
    sky.add("a", Kind.REDRIVEN, input={"inline": {"value": "corrected"}})
    sky.succeed("a")
    assert run(sky.decide("b")) == Lead()


def test_a_result_of_another_version_answers_nobody(sky: Sky) -> None:
    """The task that leads was retried by a worker of an older version."""
    sky.add("a", Kind.STARTED)
    sky.add("a", Kind.ATTEMPT_FAILED)
    sky.add("a", Kind.STARTED, agent_version="0")
    sky.add("a", Kind.SUCCEEDED, **SUCCESS)
    assert run(sky.decide("b")) == Lead()


def test_a_result_of_a_task_accepted_for_another_version_answers_if_this_version_ran_it() -> None:
    sky = Sky()
    newer = replace(SPEC, version="2")
    sky.accept("a")
    sky.accept("b")
    assert run(sky.decide("a", spec=newer)) == Lead()
    sky.add("a", Kind.STARTED, agent_version="2")
    sky.add("a", Kind.SUCCEEDED, **SUCCESS)
    assert isinstance(run(sky.decide("b", spec=newer)), Answer)


def test_a_result_that_added_to_its_session_answers_nobody(sky: Sky) -> None:
    sky.succeed("a", turns=[{"position": 0, "content": {"inline": "said"}}])
    assert run(sky.decide("b")) == Lead()


# How old a result may be.


@pytest.mark.parametrize(("age_seconds", "decision"), [(TTL_SECONDS - 1, Answer), (TTL_SECONDS, Lead)])
def test_a_result_answers_who_comes_later_until_it_is_too_old(sky: Sky, age_seconds: int, decision: type) -> None:
    sky.succeed("a")
    sky.clock.advance(age_seconds)
    sky.accept("late")
    assert isinstance(run(sky.decide("late")), decision)


def test_who_was_in_flight_with_the_leader_is_answered_however_late_it_looks(sky: Sky) -> None:
    """It asked before the result was made, so the result is not old to it. It may have stood in a long queue."""
    sky.clock.advance(1)
    sky.succeed("a")
    sky.clock.advance(10 * TTL_SECONDS)
    assert isinstance(run(sky.decide("b")), Answer)


def test_who_waited_for_the_leader_is_answered_though_results_age_faster_than_it_looks(sky: Sky) -> None:
    brief = replace(SPEC, cache_ttl_seconds=1)
    sky.clock.advance(8)
    sky.succeed("a")
    sky.clock.advance(5)
    assert isinstance(run(sky.decide("b", parked_for_ms=12_000, spec=brief)), Answer)


def test_a_delayed_task_asks_when_it_is_due_and_not_when_it_was_accepted() -> None:
    sky = Sky()
    sky.accept("a")
    sky.accept("b", due_at_ms=sky.clock.now_ms() + 10 * TTL_SECONDS * 1000)
    assert run(sky.decide("a")) == Lead()
    sky.succeed("a")
    sky.clock.advance(10 * TTL_SECONDS)
    assert run(sky.decide("b")) == Lead()


def test_a_stale_result_is_replaced_by_one_task_and_not_by_all(sky: Sky) -> None:
    sky.succeed("a")
    sky.clock.advance(TTL_SECONDS)
    for task in "cde":
        sky.accept(task)

    async def all_at_once() -> list[Decision]:
        return list(await asyncio.gather(*(sky.decide(task) for task in "cde")))

    decisions = run(all_at_once())
    assert sorted(type(decision).__name__ for decision in decisions) == ["Lead", "Wait", "Wait"]


def test_the_entry_outlives_the_result_it_leads_to(sky: Sky) -> None:
    ((_, expires_at),) = sky.flights.leaders.values()
    assert expires_at > sky.clock.now_ms() // 1000 + TTL_SECONDS + 12 * 3600, "a message is hidden for up to 12 hours"


def test_an_entry_that_was_forgotten_makes_a_new_leader(sky: Sky) -> None:
    sky.succeed("a")
    sky.flights.forget(4_000_000_000)
    assert run(sky.decide("b")) == Lead()


# What becomes of the leader.


@pytest.mark.parametrize("end", [Kind.DEAD_LETTERED, Kind.CANCELLED, Kind.EXPIRED])
def test_a_leader_that_ends_without_a_result_promotes_one_follower(sky: Sky, end: Kind) -> None:
    sky.accept("c")
    sky.add("a", Kind.STARTED)
    sky.add("a", end)

    async def both() -> list[Decision]:
        return list(await asyncio.gather(sky.decide("b", parked_for_ms=2000), sky.decide("c", parked_for_ms=2000)))

    decisions = run(both())
    assert sorted(type(decision).__name__ for decision in decisions) == ["Lead", "Wait"]
    waiting = next(decision for decision in decisions if isinstance(decision, Wait))
    assert waiting.leader == leader_of(sky) in ("b", "c")


def test_leaders_that_fail_one_after_the_other_are_all_passed_over(sky: Sky) -> None:
    sky.add("a", Kind.CANCELLED)
    assert run(sky.decide("b")) == Lead()
    sky.accept("c")
    sky.add("b", Kind.STARTED)
    assert isinstance(run(sky.decide("c")), Wait)
    sky.add("b", Kind.DEAD_LETTERED)
    assert run(sky.decide("c")) == Lead()


@pytest.mark.parametrize(
    "events",
    [
        [],
        [Kind.STARTED],
        [Kind.STARTED, Kind.STEP_RECORDED],
        [Kind.STARTED, Kind.ATTEMPT_FAILED],
        [Kind.STARTED, Kind.PARKED],
        [Kind.STARTED, Kind.WAITING],
    ],
    ids=lambda kinds: kinds[-1].value if kinds else "accepted",
)
@pytest.mark.parametrize("parked_for_ms", [0, 3000, 7_200_000])
def test_a_leader_that_has_not_ended_is_waited_for(sky: Sky, events: list[Kind], parked_for_ms: int) -> None:
    for kind in events:
        sky.add("a", kind)
    assert isinstance(run(sky.decide("b", parked_for_ms=parked_for_ms)), Wait)


def test_a_leader_whose_log_is_gone_is_replaced(sky: Sky) -> None:
    sky.succeed("a")
    del sky.log.logs["a"]
    assert run(sky.decide("b")) == Lead()


def test_a_leader_whose_log_is_going_is_replaced(sky: Sky) -> None:
    """Retention drops a log's events one by one."""
    sky.succeed("a")
    del sky.log.logs["a"][0]
    assert run(sky.decide("b")) == Lead()


def test_a_leader_whose_log_is_corrupt_harms_nobody_else(sky: Sky) -> None:
    sky.succeed("a")
    del sky.log.logs["a"][1]
    assert run(sky.decide("b")) == Lead()


def test_a_redriven_leader_is_waited_for(sky: Sky) -> None:
    sky.add("a", Kind.STARTED)
    sky.add("a", Kind.DEAD_LETTERED)
    sky.add("a", Kind.REDRIVEN)
    assert isinstance(run(sky.decide("b")), Wait)


@pytest.mark.parametrize(
    ("kind", "body"),
    [(Kind.REDRIVEN, {}), (Kind.PARKED, {"reason": "receive_limit"}), (Kind.PARKED, {"reason": "paused"})],
    ids=["redriven", "put back by the triage", "paused"],
)
def test_a_leader_that_does_not_come_round_again_is_replaced(sky: Sky, kind: Kind, body: dict[str, Any]) -> None:
    """In a session it may stand behind the very task that waits for it."""
    sky.add("a", Kind.STARTED)
    sky.add("a", Kind.DEAD_LETTERED if kind is Kind.REDRIVEN else Kind.ATTEMPT_FAILED)
    sky.add("a", kind, **body)
    assert isinstance(run(sky.decide("b", parked_for_ms=59_000)), Wait)
    assert run(sky.decide("b", parked_for_ms=60_000)) == Lead()
    finds = run(sky.decide("a"))
    assert isinstance(finds, Wait)
    assert finds.leader == "b"


def test_a_leader_behind_the_task_in_their_session_is_not_waited_for() -> None:
    sky = Sky()
    for task in "ab":
        sky.accept(task, session="s")
    assert run(sky.decide("a")) == Lead()
    sky.add("a", Kind.STARTED)
    sky.add("a", Kind.DEAD_LETTERED)
    sky.add("a", Kind.REDRIVEN)
    assert run(sky.decide("b", parked_for_ms=1)) == Lead()


def test_the_same_session_on_another_lane_has_no_order() -> None:
    sky = Sky()
    sky.accept("a", session="s", lane="critical")
    sky.accept("b", session="s", lane="batch")
    assert run(sky.decide("a")) == Lead()
    sky.add("a", Kind.STARTED)
    assert isinstance(run(sky.decide("b", parked_for_ms=1)), Wait)


# Large results.


def succeeded_large(sky: Sky) -> dict[str, Any]:
    value = {"text": "x" * INLINE_BYTES}
    payload = run(sky.claim_check.check_in("acme", "a", value))
    sky.succeed("a", output=payload.to_json())
    return value


def test_a_large_result_is_stored_under_the_asking_tasks_own_key(sky: Sky) -> None:
    value = succeeded_large(sky)
    answer = run(sky.decide("b"))
    assert isinstance(answer, Answer)
    assert answer.payload.ref is not None
    assert "/tasks/b/" in answer.payload.ref
    assert sky.payloads.objects[answer.payload.ref] == canonical_json(value).encode()


def test_a_large_result_that_is_no_longer_kept_is_made_again(sky: Sky) -> None:
    succeeded_large(sky)
    sky.payloads.objects.clear()
    assert run(sky.decide("b")) == Lead()


def test_a_large_result_that_cannot_be_fetched_now_is_not_made_again(sky: Sky) -> None:
    succeeded_large(sky)
    sky.payloads.down = True
    with pytest.raises(StoreUnavailableError):
        run(sky.decide("b"))
    assert leader_of(sky) == "a"


# When to look again, and what it costs.


def test_waits_grow_from_a_second_to_fifteen_and_for_a_leader_of_hours_to_minutes(sky: Sky) -> None:
    waits = {}
    for parked_seconds in (0, 1, 10, 28, 120, 3600, 86_400):
        found = [run(sky.decide("b", parked_for_ms=parked_seconds * 1000)).after_seconds for _ in range(50)]
        waits[parked_seconds] = (min(found), max(found))
    shortest = {0: 1.0, 1: 1.5, 10: 6.0, 28: 15.0, 120: 15.0, 3600: 180.0, 86_400: 600.0}
    for parked_seconds, (least, most) in waits.items():
        base = shortest[parked_seconds]
        assert base <= least < most <= min(1.5 * base, base + 30)


def test_waiting_a_day_costs_fewer_receives_than_a_message_has(sky: Sky) -> None:
    waited, receives = 0.0, 0
    while waited < 86_400:
        waited += run(sky.decide("b", parked_for_ms=int(waited * 1000))).after_seconds
        receives += 1
    assert receives < 250


def test_leading_costs_one_write_and_no_read() -> None:
    sky = Sky()
    sky.accept("a")
    assert run(sky.decide("a")) == Lead()
    assert (sky.flights.calls, sky.log.reads) == (1, 0)


def test_looking_again_reads_one_event_and_not_a_long_log(sky: Sky) -> None:
    sky.add("a", Kind.STARTED)
    run(sky.decide("b", parked_for_ms=5000))
    assert sky.log.read_whole == []
    sky.add("a", Kind.SUCCEEDED, **SUCCESS)
    assert isinstance(run(sky.decide("b", parked_for_ms=5000)), Answer)
    assert sky.log.read_whole == ["a"]


# Stores that do not answer.


class Unsure(MemoryFlights):
    """Leaders whose store loses its answers, or is down."""

    carried_out = True
    failing = True

    async def lead(self, key: str, task_id: str, *, instead_of: str | None, expires_at: int) -> str:
        if not self.failing:
            return await super().lead(key, task_id, instead_of=instead_of, expires_at=expires_at)
        if self.carried_out:
            await super().lead(key, task_id, instead_of=instead_of, expires_at=expires_at)
        raise StoreUnavailableError("the cache did not answer")


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_store_that_does_not_answer_starts_nothing_and_asking_again_tells(carried_out: bool) -> None:
    sky = Sky()
    sky.flights = flights = Unsure()
    sky.flight = SingleFlight(flights, sky.log, sky.claim_check, sky.clock, random.Random(3))
    flights.carried_out = carried_out
    sky.accept("a")
    with pytest.raises(StoreUnavailableError):
        run(sky.decide("a"))
    flights.failing = False
    assert run(sky.decide("a")) == Lead()
