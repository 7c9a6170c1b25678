"""What an order's input refers to is in the input that the task's agent is given, or the task is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flotilla.models import TaskMessage
from flotilla.workflows.references import complaint, reference_to, references_in, with_outputs
from tests.unit.services import referring_agents, sample_agents
from tests.unit.services.crashes import Calls
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.ordering import HEADER, TOKEN, asked, order_of, told, worked

OUT_OF_SIGHT = {"$task_output": 7, "of": {"$task_output": "tsk_1", "and": "more"}}
OTHER_RUN = replace(HEADER, run="wfl_" + "1" * 32)


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(referring_agents.ALL)


def done(fleet: Fleet, value: Any, token: str, **members: Any) -> str:
    """A task of the run that returned {"value": value}."""
    body = asked(fleet, value=value, token=token, **members)
    worked(fleet, body)
    return order_of(body).task_id


def referring(fleet: Fleet, task_ids: list[str], token: str) -> str:
    """A task of the run whose output refers to those of others; to its own where it names none."""
    body = asked(fleet, "referring.names", task_ids, token=token)
    worked(fleet, body)
    return order_of(body).task_id


def given(fleet: Fleet, value: Any, **members: Any) -> Any:
    """What an agent that echoes its input returns, of which nothing was left by reference."""
    fleet.tokens.waiting.add(TOKEN)
    worked(fleet, asked(fleet, value=value, **members))
    answer = told(fleet)
    assert "error" not in answer, answer
    state = run(fleet.state(answer["task_id"]))
    return run(fleet.claim_check.check_out(state.output))["value"]


def refused(fleet: Fleet, value: Any, **members: Any) -> str:
    """Why the task was."""
    sample_agents.HISTORY.clear()
    worked(fleet, asked(fleet, value=value, **members))
    answer = told(fleet)
    assert answer["error"] == "invalid_input"
    assert answer["retryable"] is False
    assert not sample_agents.HISTORY, "its agent did not see it"
    return str(answer["message"])


@pytest.mark.parametrize("value", ["small", "x" * 20_000, None, ["a", {"b": 1}]], ids=lambda value: repr(value)[:12])
def test_the_output_that_is_referred_to_is_in_its_place(fleet: Fleet, value: Any) -> None:
    task = done(fleet, value, "one")
    expected = {"value": value}
    assert given(fleet, {"of": [reference_to(task)], "also": 1}) == {"of": [expected], "also": 1}


def test_the_log_holds_what_the_agent_was_given(fleet: Fleet) -> None:
    task = done(fleet, "plain", "one")
    body = asked(fleet, value=reference_to(task))
    worked(fleet, body)
    state = run(fleet.state(order_of(body).task_id))
    assert state.input.inline == {"value": {"value": "plain"}, "times": 0}


def test_an_output_that_refers_to_others_is_whole_too(fleet: Fleet) -> None:
    first = done(fleet, "x" * 20_000, "one")
    second = referring(fleet, [first], "two")
    third = referring(fleet, [first, second], "three")
    large = {"value": "x" * 20_000}
    assert given(fleet, [reference_to(third), reference_to(first)]) == [[large, [large]], large]


def test_it_is_the_same_whether_an_output_was_told_whole_or_by_reference(fleet: Fleet) -> None:
    task = done(fleet, "small", "one")
    referring(fleet, [task], "two")
    assert given(fleet, told(fleet, "two")["output"]) == [{"value": "small"}]


def test_an_order_that_refers_to_nothing_reads_nothing(fleet: Fleet) -> None:
    calls = Calls()
    worked(fleet, asked(fleet, value=OUT_OF_SIGHT), process=fleet.process(calls))
    assert fleet.log.reads == 0
    assert "error" not in told(fleet)


def test_an_order_that_comes_again_gives_the_agent_the_same(fleet: Fleet) -> None:
    task = done(fleet, "plain", "one")
    body = asked(fleet, value=reference_to(task))
    worked(fleet, body)
    worked(fleet, body, 2)
    assert fleet.kinds(order_of(body).task_id) == ["accepted", "started", "succeeded"]


class TestWhatIsNoResultOfTheRun:
    """References that lead nowhere, or not where this run may look."""

    def test_a_task_that_is_not_there(self, fleet: Fleet) -> None:
        assert "tsk_none" in refused(fleet, reference_to("tsk_none"))

    def test_a_task_of_another_tenant(self, fleet: Fleet) -> None:
        task = done(fleet, "secret", "one", header=replace(HEADER, tenant="other"))
        assert "secret" not in refused(fleet, reference_to(task))

    def test_a_task_of_another_run(self, fleet: Fleet) -> None:
        refused(fleet, reference_to(done(fleet, "secret", "one", header=OTHER_RUN)))

    def test_a_task_of_no_run(self, fleet: Fleet) -> None:
        task = run(fleet.submit("sample.echo", {"value": 1})).state.task_id
        run(fleet.deliver(fleet.delivery(task)))
        refused(fleet, reference_to(task))

    def test_a_task_that_failed(self, fleet: Fleet) -> None:
        body = asked(fleet, "sample.failing", "permanent", times=9, token="one")
        worked(fleet, body)
        refused(fleet, reference_to(order_of(body).task_id))

    def test_one_of_many(self, fleet: Fleet) -> None:
        task = done(fleet, "plain", "one")
        assert "tsk_none" in refused(fleet, [reference_to(task), reference_to("tsk_none")])

    def test_too_many(self, fleet: Fleet) -> None:
        why = refused(fleet, [reference_to(f"tsk_{number}") for number in range(101)])
        assert "too many" in why
        assert len(why) < 300
        assert fleet.log.reads == 0

    def test_too_much(self, fleet: Fleet) -> None:
        task = done(fleet, "x" * 100_000, "one")
        refused(fleet, [reference_to(task)] * 50)

    def test_what_goes_on_for_ever(self, fleet: Fleet) -> None:
        refused(fleet, reference_to(referring(fleet, [], "one")))

    def test_what_goes_too_far(self, fleet: Fleet) -> None:
        task = done(fleet, "plain", "one")
        for depth in range(3):
            task = referring(fleet, [task], f"deeper-{depth}")
        refused(fleet, reference_to(task))

    def test_it_is_refused_wherever_its_message_went_meanwhile(self, fleet: Fleet) -> None:
        body = asked(fleet, value=reference_to("tsk_none"), lane="critical")
        worked(fleet, body)
        sent = fleet.message(order_of(body).task_id)
        sample_agents.HISTORY.clear()
        run(fleet.deliver(fleet.delivery(TaskMessage.from_body(sent.to_body()).task_id)))
        assert told(fleet)["error"] == "invalid_input"
        assert not sample_agents.HISTORY


def test_a_client_may_say_what_it_likes(fleet: Fleet) -> None:
    task = run(fleet.submit("sample.echo", {"value": reference_to("tsk_none")})).state.task_id
    run(fleet.deliver(fleet.delivery(task)))
    assert run(fleet.state(task)).output.inline == {"value": {"$task_output": "tsk_none"}}


def test_references_are_found_wherever_they_are() -> None:
    value = {"a": [1, {"b": reference_to("x")}], "c": reference_to("y"), "d": [[reference_to("x")]]}
    assert sorted(references_in(value)) == ["x", "x", "y"]
    assert with_outputs(value, {"x": 1}) == {"a": [1, {"b": 1}], "c": {"$task_output": "y"}, "d": [[1]]}
    assert complaint(with_outputs(value, {"x": 1, "y": None})) is None


def test_a_complaint_is_short_however_much_there_is_to_complain_about() -> None:
    why = complaint([reference_to("t" * 5000 + str(number)) for number in range(50)])
    assert why is not None
    assert len(why) < 400


def test_references_are_found_however_deep_they_lie() -> None:
    value: Any = reference_to("x")
    for _ in range(50_000):
        value = [value]
    assert list(references_in(value)) == ["x"]
