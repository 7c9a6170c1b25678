"""An order of a workflow's state becomes one task, which runs like any other and tells the state how it ended."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from flotilla.coordination import PauseScope
from flotilla.models import Status, TaskMessage
from flotilla.services.children import DEEPEST
from tests.fakes.workflows import MemoryTaskTokens
from tests.unit.services import sample_agents, submitting_agents
from tests.unit.services.crashes import Calls, Fate
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.ordering import HEADER, RUN, TOKEN, asked, body_of, delivery_of, order_of, told, worked

SECOND_MS = 1000


def test_an_order_is_accepted_run_and_answered(fleet: Fleet) -> None:
    body = asked(fleet, value=7)
    result = worked(fleet, body)
    task = order_of(body).task_id
    assert [delivery.body for delivery in result.done] == [body]
    assert fleet.kinds(task) == ["accepted", "started", "succeeded"]
    assert told(fleet) == {"task_id": task, "agent": "sample.echo", "output": {"value": 7}}


def test_a_steps_task_costs_three_writes_and_no_read(fleet: Fleet) -> None:
    calls = Calls()
    worked(fleet, asked(fleet), process=fleet.process(calls))
    assert (fleet.log.appends, fleet.log.reads) == (3, 0)
    assert fleet.lanes.sends == 0
    called = [name for name in calls.made if name not in ("set_visibility", "append")]
    assert called == ["read", "succeed"], "what is paused, and the answer"


def test_a_task_says_where_it_comes_from(fleet: Fleet) -> None:
    header = replace(
        HEADER,
        depth=2,
        root="tsk_root",
        trace="Root=1-2-3",
        webhook="whk_1",
        labels={"case": "größe"},
        budgets=(("tsk_root", 5_000_000),),
        deadline_ms=fleet.clock.now_ms() + 100 * SECOND_MS,
    )
    body = asked(fleet, header=header, session="{run}/pages", max_attempts=2, timeout_seconds=60)
    worked(fleet, body)
    state = run(fleet.state(order_of(body).task_id))
    assert (state.tenant, state.agent, state.lane) == ("acme", "sample.echo", "standard")
    assert (state.parent, state.root, state.depth) == (RUN, "tsk_root", 3)
    assert (state.trace, state.webhook, state.labels) == ("Root=1-2-3", "whk_1", {"case": "größe"})
    assert (state.session, state.max_attempts) == (f"{RUN}/pages", 2)
    assert state.budgets == (("tsk_root", 5_000_000),)
    assert state.deadline_ms == state.created_at_ms + 60 * SECOND_MS, "its own, which is before its run's"
    assert state.workflow is not None
    assert (state.workflow.run, state.workflow.step, state.workflow.token) == (RUN, "Extract", TOKEN)
    accepted = fleet.log.logs[state.task_id][0]
    assert accepted.actor == "workflow:document-analysis"


def test_the_runs_deadline_bounds_the_tasks(fleet: Fleet) -> None:
    deadline_ms = fleet.clock.now_ms() + 10 * SECOND_MS
    body = asked(fleet, header=replace(HEADER, deadline_ms=deadline_ms), timeout_seconds=60)
    worked(fleet, body)
    assert run(fleet.state(order_of(body).task_id)).deadline_ms == deadline_ms


def test_where_the_run_has_no_root_it_is_the_root(fleet: Fleet) -> None:
    body = asked(fleet)
    worked(fleet, body)
    state = run(fleet.state(order_of(body).task_id))
    assert (state.parent, state.root, state.depth) == (RUN, RUN, 1)


def test_an_order_that_comes_again_is_the_same_task(fleet: Fleet) -> None:
    body = asked(fleet)
    worked(fleet, body)
    for count in (1, 2):
        fleet.clock.advance(5)
        assert len(worked(fleet, body, count).done) == 1
    task = order_of(body).task_id
    assert list(fleet.log.logs) == [task]
    assert fleet.kinds(task) == ["accepted", "started", "succeeded"]
    assert len(fleet.tokens.answers) == 1
    assert fleet.metrics.total("CallbacksTooLate") == 2


def test_an_order_for_an_agent_that_is_nowhere_is_left_to_the_triage_after_some_minutes(fleet: Fleet) -> None:
    body = asked(fleet, "sample.misspelt")
    first, ninth, tenth = (worked(fleet, body, count) for count in (1, 9, 10))
    assert [len(result.again) for result in (first, ninth, tenth)] == [1, 1, 0]
    assert [delivery.body for delivery in tenth.done] == [body]
    assert fleet.receipts.aside == [("m-1", "no agent of that name is deployed")]
    assert not fleet.log.logs


def test_another_retry_of_the_state_is_another_task(fleet: Fleet) -> None:
    first, second = asked(fleet, retry=0), body_of(retry=1)
    worked(fleet, first)
    fleet.tokens.waiting.add(TOKEN)
    worked(fleet, second)
    assert order_of(first).task_id != order_of(second).task_id
    assert len(fleet.log.logs) == 2
    assert len(fleet.tokens.answers) == 2


def test_orders_of_a_batch_are_run_together(fleet: Fleet) -> None:
    bodies = [asked(fleet, "sample.meeting", number, times=5, token=f"{TOKEN}{number}") for number in range(5)]
    sample_agents.HISTORY.clear()
    deliveries = [delivery_of(body, name=f"m-{number}") for number, body in enumerate(bodies)]
    assert len(run(fleet.deliver(*deliveries)).done) == 5
    assert len(fleet.tokens.answers) == 5


def test_a_large_input_lies_outside_of_the_log(fleet: Fleet) -> None:
    body = asked(fleet, value="x" * 3000)
    worked(fleet, body)
    state = run(fleet.state(order_of(body).task_id))
    assert state.input.ref is not None
    assert run(fleet.claim_check.check_out(state.input)) == {"value": "x" * 3000, "times": 0}


class TestWhatIsNoTask:
    """Orders of which no task can be made: the state is told, at once, and nothing is logged."""

    @pytest.mark.parametrize(
        ("members", "said"),
        [
            ({"lane": "none"}, "lane is a deployed lane"),
            ({"header": replace(HEADER, lane="none")}, "lane is a deployed lane"),
            ({"header": replace(HEADER, run="wfl_1")}, "workflow.run"),
            ({"header": replace(HEADER, run="tsk_" + "0" * 32)}, "workflow.run"),
            ({"header": replace(HEADER, tenant="")}, "workflow.tenant"),
            ({"header": replace(HEADER, tenant="t" * 257)}, "workflow.tenant"),
            ({"header": replace(HEADER, labels={"n" * 65: ""})}, "workflow.labels"),
            ({"header": replace(HEADER, labels=dict.fromkeys(map(str, range(17)), ""))}, "workflow.labels"),
            ({"header": replace(HEADER, depth=-1)}, "workflow.depth"),
            ({"step": ""}, "state.Name"),
            ({"step": "s" * 129}, "state.Name"),
            ({"retry": -1}, "state.RetryCount"),
            ({"session": ""}, "session"),
            ({"session": "{run}" * 8}, "session"),
            ({"max_attempts": 0}, "max_attempts"),
            ({"max_attempts": 21}, "max_attempts"),
            ({"timeout_seconds": 0}, "timeout_seconds"),
            ({"timeout_seconds": 10**9}, "timeout_seconds"),
            ({"value": float("nan")}, "input"),
            ({"value": "\ud800"}, "input"),
        ],
        ids=str,
    )
    def test_the_state_fails_with_what_is_wrong(self, fleet: Fleet, members: dict[str, Any], said: str) -> None:
        body = asked(fleet, **members)
        assert len(worked(fleet, body).done) == 1
        answer = told(fleet)
        assert answer["error"] == "invalid_order"
        assert said in answer["message"]
        assert (answer["task_id"], answer["retryable"]) == (None, False)
        assert not fleet.log.logs

    def test_no_task_is_deeper_than_any_other_may_be(self, fleet: Fleet) -> None:
        worked(fleet, asked(fleet, header=replace(HEADER, depth=DEEPEST)))
        assert told(fleet)["error"] == "too_deep"
        assert not fleet.log.logs

    def test_what_cannot_be_told_now_comes_back(self, fleet: Fleet) -> None:
        body = asked(fleet, lane="none")
        healthy = Calls()
        worked(fleet, body, process=fleet.process(healthy))
        fleet.tokens = MemoryTaskTokens({TOKEN})
        refused = fleet.process(Calls(healthy.made.index("fail"), Fate.REFUSED))
        assert len(worked(fleet, body, process=refused).again) == 1
        assert not fleet.tokens.answers
        assert len(worked(fleet, body, process=fleet.process()).done) == 1
        assert told(fleet)["error"] == "invalid_order"

    @pytest.mark.parametrize(
        "change",
        [
            {"workflow": None},
            {"state": "Extract"},
            {"token": 7},
            {"agent": ["sample.echo"]},
            {"lane": 1},
            {"workflow": {"run": RUN}},
        ],
        ids=str,
    )
    def test_what_is_no_order_at_all_is_put_aside(self, fleet: Fleet, change: dict[str, Any]) -> None:
        body = json.dumps(json.loads(body_of()) | change)
        assert len(worked(fleet, body).done) == 1
        ((_, reason),) = fleet.receipts.aside
        assert "not an order for a task" in reason
        assert "not a task message" in reason

    def test_an_agent_that_this_worker_does_not_have_may_come_with_the_next_release(self, fleet: Fleet) -> None:
        body = asked(fleet, "sample.later")
        assert len(worked(fleet, body).again) == 1
        assert fleet.receipts.visibility[-1][1] >= 30
        assert not fleet.log.logs

    def test_a_worker_that_knows_of_no_workflows_leaves_orders_to_those_that_do(self, fleet: Fleet) -> None:
        tools = replace(fleet.process(), bridge=None, callbacks=None)
        assert len(worked(fleet, asked(fleet), process=tools).again) == 1
        assert not fleet.log.logs


class TestOtherLanes:
    """A task that belongs on another lane than its order lay on."""

    @pytest.mark.parametrize("members", [{"lane": "critical"}, {"header": replace(HEADER, lane="critical")}], ids=str)
    def test_it_is_accepted_and_waits_there(self, fleet: Fleet, members: dict[str, Any]) -> None:
        body = asked(fleet, **members)
        assert len(worked(fleet, body).done) == 1
        task = order_of(body).task_id
        assert fleet.kinds(task) == ["accepted"]
        sent = fleet.message(task)
        assert (sent.lane, sent.seq) == ("critical", 0)
        assert sent.workflow is not None
        assert run(fleet.deliver(fleet.delivery(task))).done
        assert told(fleet)["task_id"] == task

    def test_what_the_state_says_comes_before_what_the_run_says(self, fleet: Fleet) -> None:
        body = asked(fleet, lane="standard", header=replace(HEADER, lane="critical"))
        worked(fleet, body)
        assert told(fleet)["task_id"] == order_of(body).task_id
        assert not fleet.lanes.sent

    def test_an_order_that_comes_again_sends_the_same_message(self, fleet: Fleet) -> None:
        body = asked(fleet, lane="critical")
        worked(fleet, body)
        fleet.clock.advance(5)
        worked(fleet, body, 2)
        assert fleet.lanes.sends == 2
        assert len(fleet.lanes.sent) == 1


class TestSessions:
    """The order of a session is that in which its tasks were accepted, whatever the groups of their orders."""

    def test_a_task_takes_its_turn_in_its_session(self, fleet: Fleet) -> None:
        body = asked(fleet, session="{run}/talk")
        assert len(worked(fleet, body).done) == 1
        task = order_of(body).task_id
        assert fleet.kinds(task) == ["accepted"]
        assert fleet.message(task).session == f"{RUN}/talk"
        assert run(fleet.deliver(fleet.delivery(task))).done
        assert told(fleet)["task_id"] == task

    def test_an_order_that_came_in_its_sessions_turn_is_run_at_once(self, fleet: Fleet) -> None:
        body = asked(fleet, session="talk")
        group = "s-" + hashlib.sha256(b"acme\0talk").hexdigest()[:40]
        assert len(run(fleet.deliver(replace(delivery_of(body), group=group))).done) == 1
        assert told(fleet)["task_id"] == order_of(body).task_id
        assert not fleet.lanes.sent


class TestMessages:
    """What is sent on for a step's task keeps the state that waits for it."""

    def test_what_waits_in_the_ladder_is_answered_at_its_end(self, fleet: Fleet) -> None:
        body = asked(fleet, "sample.parking", 600, times=1)
        assert len(worked(fleet, body).done) == 1
        assert not fleet.tokens.answers
        (parked,) = [message for tier in list(fleet.delays.tiers) for message in fleet.delays.take(tier)]
        message = TaskMessage.from_body(parked.to_body())
        assert message.workflow is not None
        assert message.workflow.token == TOKEN
        fleet.clock.advance(1000)
        assert run(fleet.deliver(delivery_of(message.to_body()))).done
        assert told(fleet)["output"] == {"value": 2}

    def test_a_message_of_a_task_without_a_workflow_is_as_it_was(self, fleet: Fleet) -> None:
        task = run(fleet.submit("sample.echo", {"value": 1})).state.task_id
        assert "workflow" not in json.loads(fleet.message(task).to_body())

    def test_what_a_steps_agent_submits_answers_no_state(self) -> None:
        fleet = Fleet(submitting_agents.ALL)
        body = asked(fleet, "submitting.parent")
        worked(fleet, body)
        (child,) = fleet.log.logs.keys() - {order_of(body).task_id}
        state = run(fleet.state(child))
        assert (state.workflow, state.parent, state.root) == (None, order_of(body).task_id, RUN)
        assert fleet.message(child).workflow is None


def test_a_paused_task_of_a_step_waits_and_is_answered_once_it_ran(fleet: Fleet) -> None:
    run(fleet.pause(PauseScope.LANE, "standard"))
    body = asked(fleet)
    assert len(worked(fleet, body).again) == 1
    assert not fleet.tokens.answers
    run(fleet.pauses.remove(PauseScope.LANE, "standard"))
    for count in itertools.count(2):
        fleet.clock.advance(60)
        if worked(fleet, body, count).done:
            break
        assert count < 5
    assert run(fleet.state(order_of(body).task_id)).status is Status.SUCCEEDED
    assert told(fleet)["output"] == {"value": None}


def test_an_identical_tasks_result_is_told_too(fleet: Fleet) -> None:
    worked(fleet, asked(fleet, "sample.cached", 1, token="one"))
    worked(fleet, asked(fleet, "sample.cached", 1, token="two", step="Again"))
    first, second = told(fleet, "one"), told(fleet, "two")
    assert first["output"] == second["output"]
    assert first["task_id"] != second["task_id"]
    assert fleet.kinds(second["task_id"]) == ["accepted", "succeeded"]
