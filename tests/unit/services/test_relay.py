"""The relay: nothing early, nothing lost, and no message in another's way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from flotilla.models import Delivery, TaskMessage
from flotilla.ports import Delays, LaneReceipts, Lanes
from flotilla.primitives.ladder import MAX_HOPS, Ladder
from flotilla.services.relay import Relay, RelayResult
from tests.contracts.lanes import MESSAGE
from tests.fakes import ManualClock, MemoryLanes, MemoryReceipts
from tests.fakes.delays import MemoryDelays
from tests.unit.services.crashes import Calls, Died, Fate, every_failure
from tests.unit.services.fleet import run

LANES = ("critical", "standard")


@dataclass
class Tier:
    """A tier's queue, the relay and what lies behind it."""

    clock: ManualClock = field(default_factory=ManualClock)
    lanes: MemoryLanes = field(default_factory=MemoryLanes)
    delays: MemoryDelays = field(default_factory=MemoryDelays)
    receipts: MemoryReceipts = field(default_factory=MemoryReceipts)

    def message(self, task_id: str, remaining_seconds: float | None, **changes: Any) -> TaskMessage:
        due_ms = None if remaining_seconds is None else self.clock.now_ms() + int(remaining_seconds * 1000)
        return replace(MESSAGE, task_id=task_id, not_before_ms=due_ms, **changes)

    def relay(self, *messages: TaskMessage, receive_count: int = 1, calls: Calls | None = None) -> RelayResult:
        return self.relay_bodies(
            {message.task_id: message.to_body() for message in messages}, receive_count=receive_count, calls=calls
        )

    def relay_bodies(
        self, bodies: dict[str, str], *, receive_count: int = 1, calls: Calls | None = None
    ) -> RelayResult:
        calls = calls or Calls()
        lanes: Lanes = calls.through(self.lanes)
        delays: Delays = calls.through(self.delays)
        receipts: LaneReceipts = calls.through(self.receipts)
        ladder = Ladder([1, 15, 120, 480, 900])
        relay = Relay(lanes=lanes, lane_names=LANES, delays=delays, ladder=ladder, clock=self.clock)
        deliveries = [Delivery(name, f"{name}/1", name, receive_count, body) for name, body in bodies.items()]
        result: RelayResult = run(relay.run(deliveries, receipts))
        return result


def ids(deliveries: list[Delivery]) -> set[str]:
    return {delivery.message_id for delivery in deliveries}


@pytest.fixture
def tier() -> Tier:
    return Tier()


def test_what_is_due_goes_to_its_lane_as_it_came(tier: Tier) -> None:
    due = tier.message("due", 0)
    assert ids(tier.relay(due).done) == {"due"}
    assert list(tier.lanes.sent.values()) == [due]


def test_what_says_nothing_of_its_time_is_due(tier: Tier) -> None:
    tier.relay(tier.message("now", None))
    assert list(tier.lanes.sent) == ["now-0"]


def test_what_is_due_soon_is_held_for_the_whole_seconds_that_cover_it(tier: Tier) -> None:
    result = tier.relay(tier.message("soon", 0.001), tier.message("later", 299.2))
    assert ids(result.again) == {"soon", "later"}
    assert tier.receipts.visibility == [("soon", 1), ("later", 300)]
    assert tier.lanes.sent == {}


def test_what_is_far_from_due_goes_on_to_the_next_tier_with_one_hop_more(tier: Tier) -> None:
    result = tier.relay(tier.message("far", 700, hops=3))
    assert ids(result.done) == {"far"}
    assert [(message.task_id, message.hops) for message in tier.delays.take(480)] == [("far", 4)]


def test_a_message_that_has_been_round_too_often_is_left_to_its_lane(tier: Tier) -> None:
    tier.relay(tier.message("restless", 700, hops=MAX_HOPS))
    assert list(tier.lanes.sent) == ["restless-0"]


def test_a_hold_that_ends_early_by_this_clock_is_taken_up_again(tier: Tier) -> None:
    """The queue's clock, or that of the machine that held it, was ahead of this one."""
    message = tier.message("early", 10)
    tier.relay(message)
    tier.clock.advance(9.1)
    assert ids(tier.relay(message, receive_count=2).again) == {"early"}
    assert tier.receipts.visibility == [("early", 10), ("early", 1)]
    tier.clock.advance(1)
    assert ids(tier.relay(message, receive_count=3).done) == {"early"}


def test_a_batch_is_one_send_of_all_that_is_due_and_one_call_for_all_that_is_held(tier: Tier) -> None:
    calls = Calls()
    due = [tier.message(f"due{number}", -1, lane=LANES[number % 2]) for number in range(5)]
    held = [tier.message(f"held{number}", 5) for number in range(5)]
    result = tier.relay(*due, *held, calls=calls)
    assert sorted(calls.made) == ["send_batch", "set_visibility"]
    assert len(result.done) == len(result.again) == 5


def test_an_empty_batch_is_nothing_to_do(tier: Tier) -> None:
    calls = Calls()
    assert tier.relay(calls=calls) == RelayResult()
    assert calls.made == []


@pytest.mark.parametrize(
    "changes",
    [
        {"not_before_ms": "soon"},
        {"hash": "zz"},
        {"lane": "removed"},
        {"input": None},
    ],
)
def test_what_nobody_can_pass_on_is_put_aside_and_holds_up_nobody(tier: Tier, changes: dict[str, Any]) -> None:
    due = tier.message("due", 0)
    bodies = {"poison": json.dumps(json.loads(MESSAGE.to_body()) | changes), "due": due.to_body()}
    assert ids(tier.relay_bodies(bodies).done) == {"poison", "due"}
    ((name, reason),) = tier.receipts.aside
    assert name == "poison"
    assert reason
    assert list(tier.lanes.sent) == ["due-0"]


@pytest.mark.parametrize("far", [10**400, -(10**400)])
def test_a_time_that_no_clock_can_hold_breaks_nothing(tier: Tier, far: int) -> None:
    body = json.dumps(json.loads(MESSAGE.to_body()) | {"not_before_ms": far})
    assert ids(tier.relay_bodies({"odd": body}).done) == {"odd"}


@pytest.mark.parametrize(("receive_count", "seconds"), [(1, 5), (3, 15), (100, 60)])
def test_a_queue_that_does_not_answer_is_asked_again_soon_and_then_less_often(
    tier: Tier, receive_count: int, seconds: int
) -> None:
    refused = Calls(0, Fate.REFUSED)
    result = tier.relay(tier.message("far", 700), receive_count=receive_count, calls=refused)
    assert ids(result.again) == {"far"}
    assert tier.receipts.visibility == [("far", seconds)]


def test_a_lane_that_took_only_some_of_a_batch_is_sent_the_rest_again(tier: Tier) -> None:
    class Choosy(MemoryLanes):
        async def send_batch(self, messages: Any) -> list[bool]:
            await super().send_batch([message for message in messages if message.task_id == "first"])
            return [message.task_id == "first" for message in messages]

    tier.lanes = Choosy()
    result = tier.relay(tier.message("first", 0), tier.message("second", 0))
    assert (ids(result.done), ids(result.again)) == ({"first"}, {"second"})


def test_whatever_call_fails_and_however_nothing_is_lost_doubled_or_early() -> None:
    """All that is handed out, done, kept or left by a dead process, comes to where it belongs, once."""
    names = {"due": 0, "soon": 20, "far": 400}
    tried = 0
    for calls in every_failure(number_of_calls=5):
        tier = Tier()
        messages = {name: tier.message(name, seconds) for name, seconds in names.items()}
        bodies = {name: message.to_body() for name, message in messages.items()} | {"poison": "{"}
        try:
            left = ids(tier.relay_bodies(bodies, calls=calls).again)
        except Died:
            left = set(bodies)
        tried += len(calls.made) > (calls.fatal or 0)
        gone = set(bodies) - left
        where = {message.task_id for message in (*tier.lanes.sent.values(), *tier.delays.tiers.get(120, {}).values())}
        where |= {name for name, _ in tier.receipts.aside}
        assert gone <= where, f"{calls}: what is reported as done is somewhere"
        assert "soon" not in where

        again = tier.relay_bodies({name: bodies[name] for name in left}, receive_count=2)
        assert ids(again.again) == {"soon"}
        assert [message.task_id for message in tier.delays.take(120)] == ["far"]
        tier.clock.advance(20)
        assert ids(tier.relay(messages["soon"], receive_count=3).done) == {"soon"}
        assert list(tier.lanes.sent) == ["due-0", "soon-0"]
        assert {name for name, _ in tier.receipts.aside} == {"poison"}
    assert tried >= 4 * len(Fate), "each of the four calls was made to fail in each way"
