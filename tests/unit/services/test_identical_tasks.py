"""Identical tasks of an agent whose results are cached: one runs, all are answered, and nobody waits for the dead."""

from __future__ import annotations

from dataclasses import replace

from flotilla.errors import RetryableError
from flotilla.events import Event, verify_chain
from flotilla.models import Delivery, Status
from flotilla.services.claim import CACHED_USAGE
from tests.fakes.flights import MemoryFlights
from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet, run

RUN_ONCE = [("cached", 1)]


def submitted(fleet: Fleet, value: object = 1, **options: object) -> str:
    return str(run(fleet.submit("sample.cached", {"value": value}, **options)).state.task_id)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def head(fleet: Fleet, task: str) -> Event:
    return fleet.log.logs[task][max(fleet.log.logs[task])]


def work_off(fleet: Fleet, tasks: list[str], rounds: int = 20) -> None:
    """Hand out messages until they are done."""
    receives = dict.fromkeys(tasks, 0)
    while receives and rounds:
        rounds -= 1
        receives = {task: count + 1 for task, count in receives.items()}
        batch = list(receives)[:10]
        done = ids(run(fleet.deliver(*(fleet.delivery(task, receives[task]) for task in batch))).done)
        receives = {task: count for task, count in receives.items() if task not in done}
        fleet.clock.advance(25)
    assert not receives


def test_an_identical_task_is_answered_without_a_start(fleet: Fleet) -> None:
    first = submitted(fleet)
    run(fleet.deliver(fleet.delivery(first)))
    second = submitted(fleet)
    assert ids(run(fleet.deliver(fleet.delivery(second))).done) == [second]
    assert sample_agents.HISTORY == RUN_ONCE
    assert fleet.kinds(second) == ["accepted", "succeeded"]
    state = run(fleet.state(second))
    assert state.output == run(fleet.state(first)).output
    assert (state.usage, state.attempt) == (CACHED_USAGE, 0)
    verify_chain(run(fleet.log.read(second)))


def test_those_in_flight_wait_for_the_leader_and_say_so_once(fleet: Fleet) -> None:
    tasks = [submitted(fleet) for _ in range(10)]
    result = run(fleet.deliver(*(fleet.delivery(task) for task in tasks)))
    (leader,) = ids(result.done)
    for receive in (2, 3):
        fleet.clock.advance(0.1)
        followers = ids(result.again)
        assert all(head(fleet, task).body["reason"] == "single_flight" for task in followers)
        assert {len(fleet.kinds(task)) for task in followers} == {2}, receive
    work_off(fleet, followers)
    assert sample_agents.HISTORY == RUN_ONCE
    assert {tuple(fleet.kinds(task)) for task in followers} == {("accepted", "parked", "succeeded")}
    outputs = [run(fleet.state(task)).output for task in tasks]
    assert all(output == run(fleet.state(leader)).output for output in outputs)


def test_a_wait_that_goes_on_is_not_written_again(fleet: Fleet) -> None:
    leader, follower = submitted(fleet), submitted(fleet)
    key_taken = fleet.process()
    run(key_taken.gate.decide(fleet.catalog.get("sample.cached"), fleet.message(leader), None))
    for receive in range(1, 6):
        assert ids(run(fleet.deliver(fleet.delivery(follower, receive))).again) == [follower]
        fleet.clock.advance(25)
    assert fleet.kinds(follower) == ["accepted", "parked"]
    assert sample_agents.HISTORY == []


def test_a_hundred_identical_tasks_are_one_execution_and_a_hundred_answers(fleet: Fleet) -> None:
    tasks = [submitted(fleet) for _ in range(100)]
    work_off(fleet, tasks, rounds=100)
    assert sample_agents.HISTORY == RUN_ONCE
    assert {run(fleet.state(task)).status for task in tasks} == {Status.SUCCEEDED}
    assert len({str(run(fleet.state(task)).output) for task in tasks}) == 1


def test_a_leader_that_fails_promotes_a_follower_and_fails_nobody_else(fleet: Fleet) -> None:
    tasks = [submitted(fleet, "broken") for _ in range(4)]
    work_off(fleet, tasks)
    assert len(sample_agents.HISTORY) == 4, "each is its own task, and fails by its own attempt"
    assert {run(fleet.state(task)).status for task in tasks} == {Status.DEAD_LETTERED}


def test_tenants_never_share_a_result(fleet: Fleet) -> None:
    for tenant in ("acme", "umbrella"):
        run(fleet.deliver(fleet.delivery(submitted(fleet, tenant=tenant))))
    assert sample_agents.HISTORY == RUN_ONCE * 2


def test_an_answer_older_than_the_agent_allows_is_made_anew(fleet: Fleet) -> None:
    for _ in range(2):
        run(fleet.deliver(fleet.delivery(submitted(fleet))))
        fleet.clock.advance(61)
    assert sample_agents.HISTORY == RUN_ONCE * 2


def test_a_follower_past_its_deadline_is_expired(fleet: Fleet) -> None:
    leader, follower = submitted(fleet), submitted(fleet, deadline_ms=fleet.clock.now_ms() + 400)
    run(fleet.process().gate.decide(fleet.catalog.get("sample.cached"), fleet.message(leader), None))
    run(fleet.deliver(fleet.delivery(follower)))
    assert fleet.receipts.visibility[-1] == (follower, 1)
    fleet.clock.advance(1)
    run(fleet.deliver(fleet.delivery(follower, 2)))
    assert fleet.kinds(follower) == ["accepted", "parked", "expired"]


def test_without_the_store_of_leaders_a_task_waits_uncharged_and_unwritten(fleet: Fleet) -> None:
    class FlightsThatAreDown(MemoryFlights):
        async def lead(self, key: str, task_id: str, *, instead_of: str | None, expires_at: int) -> str:
            raise RetryableError("down")

    fleet.flights.__class__ = FlightsThatAreDown
    task = submitted(fleet)
    assert ids(run(fleet.deliver(fleet.delivery(task))).again) == [task]
    assert fleet.kinds(task) == ["accepted"]
    assert sample_agents.HISTORY == []


def test_an_agent_without_a_cache_never_asks_who_leads(fleet: Fleet) -> None:
    accepted = run(fleet.submit("sample.echo", {"value": 1}))
    run(fleet.deliver(fleet.delivery(accepted.state.task_id)))
    assert fleet.flights.calls == 0


def test_a_leader_asks_once_and_costs_one_write_more(fleet: Fleet) -> None:
    run(fleet.deliver(fleet.delivery(submitted(fleet))))
    assert (fleet.flights.calls, fleet.log.appends, fleet.log.reads) == (1, 3, 0)


def test_a_large_result_is_the_followers_own(fleet: Fleet) -> None:
    first, second = submitted(fleet, "x" * 5000), submitted(fleet, "x" * 5000)
    work_off(fleet, [first, second])
    outputs = [run(fleet.state(task)).output for task in (first, second)]
    assert outputs[0].sha256 == outputs[1].sha256
    assert second in outputs[1].ref and outputs[1].ref in fleet.payloads.objects


def test_a_start_says_which_version_ran_where_another_one_was_accepted(fleet: Fleet) -> None:
    accepted_for_another = submitted(fleet, "another")
    of_this = submitted(fleet, "this")
    message = replace(fleet.message(accepted_for_another), agent_version="6")
    delivery = replace(fleet.delivery(accepted_for_another), body=message.to_body())
    run(fleet.deliver(delivery, fleet.delivery(of_this)))
    assert fleet.log.logs[accepted_for_another][1].body["agent_version"] == "7"
    assert "agent_version" not in fleet.log.logs[of_this][1].body


def test_followers_in_a_session_keep_its_order(fleet: Fleet) -> None:
    leader = submitted(fleet)
    run(fleet.process().gate.decide(fleet.catalog.get("sample.cached"), fleet.message(leader), None))
    follower = submitted(fleet, session="s")
    behind = str(run(fleet.submit("sample.echo", {"value": "behind"}, session="s")).state.task_id)
    result = run(fleet.deliver(fleet.delivery(follower), fleet.delivery(behind)))
    assert ids(result.again) == [follower, behind]
    assert sample_agents.HISTORY == []
    run(fleet.deliver(fleet.delivery(leader)))
    fleet.clock.advance(25)
    assert ids(run(fleet.deliver(fleet.delivery(follower, 2), fleet.delivery(behind, 2))).done) == [follower, behind]
