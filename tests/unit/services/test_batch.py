"""What a worker does with a batch, on a log that is real but in memory."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from flotilla.errors import RetryableError
from flotilla.events import Event, Kind, chain, verify_chain
from flotilla.models import Delivery
from flotilla.services.batch import BatchResult
from tests.fakes import MemoryEventLog
from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet, run


def submitted(fleet: Fleet, agent: str, value: object = None, **options: object) -> str:
    times = options.pop("times", 0)
    accepted = run(fleet.submit(agent, {"value": value, "times": times}, **options))
    return str(accepted.state.task_id)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def test_a_happy_task_is_three_writes_and_no_read(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.echo", "hello")
    result = run(fleet.deliver(fleet.delivery(task)))
    assert ids(result.done) == [task] and not result.again
    assert fleet.kinds(task) == ["accepted", "started", "succeeded"]
    assert (fleet.log.appends, fleet.log.reads) == (3, 0)
    verify_chain(run(fleet.log.read(task)))
    state = run(fleet.state(task))
    assert state.output.inline == {"value": "hello"}
    assert not fleet.watchdog.armed


def test_different_groups_run_at_once(fleet: Fleet) -> None:
    tasks = [submitted(fleet, "sample.meeting", n, times=10) for n in range(10)]
    result = run(fleet.deliver(*(fleet.delivery(task) for task in tasks)))
    assert len(result.done) == 10


def test_one_session_runs_in_order(fleet: Fleet) -> None:
    tasks = [submitted(fleet, "sample.echo", n, session="s") for n in range(3)]
    run(fleet.deliver(*(fleet.delivery(task) for task in tasks)))
    expected = [step for n in range(3) for step in (("echo", n), ("echoed", n))]
    assert expected == sample_agents.HISTORY


def test_a_failure_holds_back_its_own_group_only(fleet: Fleet) -> None:
    first = submitted(fleet, "sample.failing", times=1, session="s")
    second = submitted(fleet, "sample.echo", 2, session="s")
    other = submitted(fleet, "sample.echo", 3)
    result = run(fleet.deliver(*(fleet.delivery(task) for task in (first, second, other))))
    assert ids(result.done) == [other]
    assert ids(result.again) == [first, second]
    waits = dict(fleet.receipts.visibility)
    assert waits[first] == waits[second] == (run(fleet.state(first)).next_attempt_ms - fleet.clock.now_ms()) / 1000
    assert fleet.kinds(second) == ["accepted"]


def test_a_failed_attempt_is_tried_again_after_its_wait_and_not_before(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.failing", times=1)
    run(fleet.deliver(fleet.delivery(task)))
    early = run(fleet.deliver(fleet.delivery(task, 2)))
    assert ids(early.again) == [task]
    assert fleet.kinds(task) == ["accepted", "started", "attempt_failed"]
    fleet.clock.advance(10)
    assert ids(run(fleet.deliver(fleet.delivery(task, 3))).done) == [task]
    state = run(fleet.state(task))
    assert (state.status, state.attempt, state.error) == ("succeeded", 2, None)


def test_what_keeps_failing_is_dead_lettered_after_its_attempts(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.failing", times=9)
    for receive in range(1, 4):
        result = run(fleet.deliver(fleet.delivery(task, receive)))
        fleet.clock.advance(100)
    assert ids(result.done) == [task]
    state = run(fleet.state(task))
    assert (state.status, state.attempt, state.error.code) == ("dead_lettered", 3, "agent_error")


@pytest.mark.parametrize(
    ("value", "code"),
    [("permanent", "never"), ("wrong-type", "invalid_output"), ("not-json", "invalid_output")],
)
def test_what_no_retry_can_mend_is_dead_lettered_at_once(fleet: Fleet, value: str, code: str) -> None:
    task = submitted(fleet, "sample.failing", value, times=9)
    assert ids(run(fleet.deliver(fleet.delivery(task))).done) == [task]
    state = run(fleet.state(task))
    assert (state.status, state.attempt, state.error.code) == ("dead_lettered", 1, code)


def test_an_input_the_agent_refuses_is_dead_lettered_without_its_values(fleet: Fleet) -> None:
    accepted = run(fleet.submit("sample.echo", {"times": "secret-word"}))
    run(fleet.deliver(fleet.delivery(accepted.state.task_id)))
    error = run(fleet.state(accepted.state.task_id)).error
    assert error.code == "invalid_input" and "times" in error.message
    assert "secret-word" not in error.message


def test_the_other_sides_retry_after_is_respected(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.failing", "retry-after", times=1)
    run(fleet.deliver(fleet.delivery(task)))
    assert fleet.receipts.visibility[-1] == (task, 120)


def test_parking_uses_up_no_attempt(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.failing", "parked", times=5)
    for receive in range(1, 6):
        run(fleet.deliver(fleet.delivery(task, receive)))
        fleet.clock.advance(46)
    assert run(fleet.state(task)).status == "parked"
    assert ids(run(fleet.deliver(fleet.delivery(task, 6))).done) == [task]
    assert run(fleet.state(task)).attempts_charged == 0


@pytest.mark.parametrize("agent", ["sample.failing", "sample.exit-plain"])
def test_an_agent_that_calls_exit_harms_no_neighbour(fleet: Fleet, agent: str) -> None:
    bad = submitted(fleet, agent, "exit", times=9)
    good = submitted(fleet, "sample.echo", 1)
    run(fleet.deliver(fleet.delivery(bad), fleet.delivery(good)))
    assert run(fleet.state(bad)).error.code == "agent_exit"
    assert run(fleet.state(good)).status == "succeeded"


def test_recorded_steps_are_replayed_and_large_results_leave_the_log(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.steps", "stop")
    run(fleet.deliver(fleet.delivery(task)))
    fleet.clock.advance(10)
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert sample_agents.HISTORY == [("work", "a"), ("work", "b"), ("large",)]
    state = run(fleet.state(task))
    assert state.output.inline["value"][:3] == ["A", "B", 5000]
    assert state.steps["large"].ref in fleet.payloads.objects
    assert set(state.steps) == {"work", "work#2", "large"}


def test_a_plain_agent_has_steps_too(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.plain", times=21)
    run(fleet.deliver(fleet.delivery(task)))
    assert run(fleet.state(task)).output.inline == {"value": 42}
    assert fleet.kinds(task) == ["accepted", "started", "step_recorded", "succeeded"]


def test_an_async_agent_is_stopped_at_its_timeout(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.late")
    run(fleet.deliver(fleet.delivery(task)))
    assert run(fleet.state(task)).error.code == "timeout"


def test_a_plain_agent_past_its_time_can_record_nothing_and_is_counted(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.late-plain")
    invocation = fleet.invocation()

    async def scenario() -> tuple[int, int]:
        from flotilla.services.batch import BatchService

        await BatchService(fleet.tools).run([fleet.delivery(task)], invocation)
        while_running = invocation.overruns.count
        sample_agents.RELEASE.set()
        while invocation.overruns.count:
            await asyncio.sleep(0)
        return while_running, invocation.overruns.count

    assert run(scenario()) == (1, 0)
    assert sample_agents.HISTORY == ["AttemptRevokedError"]
    assert fleet.kinds(task) == ["accepted", "started", "dead_lettered"]


def crashed(fleet: Fleet, task: str, *, solo: bool, lease_seconds: float = 5) -> None:
    """Leave the log as a worker that died in its first attempt leaves it."""
    head = run(fleet.log.read(task))[-1]
    body = {"lease_until_ms": fleet.clock.now_ms() + int(lease_seconds * 1000)} | ({"solo": True} if solo else {})
    event = chain(
        task_id=task,
        seq=head.seq + 1,
        kind=Kind.STARTED,
        at_ms=fleet.clock.now_ms(),
        actor="worker:dead",
        attempt=head.attempt + 1,
        body=body,
        prev_hash=head.hash,
    )
    assert run(fleet.log.append(event)) is None


def test_a_lease_is_respected_until_it_has_ended(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.echo")
    crashed(fleet, task, solo=True)
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).again) == [task]
    assert fleet.receipts.visibility[-1] == (task, 6)
    fleet.clock.advance(6)
    assert ids(run(fleet.deliver(fleet.delivery(task, 3))).done) == [task]
    started = run(fleet.log.read(task))[2]
    assert started.body["takes_over"] == {"attempt": 1, "worker": "worker:dead"}


def test_a_second_delivery_of_a_fresh_message_does_not_run_it_twice(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.echo", 1)
    copies = [fleet.delivery(task), replace(fleet.delivery(task), message_id="copy", group="elsewhere")]

    async def both() -> list[BatchResult]:
        return list(await asyncio.gather(*(fleet.deliver(copy) for copy in copies)))

    run(both())
    assert sample_agents.HISTORY.count(("echo", 1)) == 1
    assert fleet.kinds(task) == ["accepted", "started", "succeeded"]


def test_a_redelivered_finished_task_is_done_at_once(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.echo", 1)
    run(fleet.deliver(fleet.delivery(task)))
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).done) == [task]
    assert sample_agents.HISTORY.count(("echo", 1)) == 1


def suspected(fleet: Fleet, count: int) -> list[str]:
    """Tasks whose worker died with all of them."""
    suspects = [submitted(fleet, "sample.echo", f"suspect {n}") for n in range(count)]
    for suspect in suspects:
        crashed(fleet, suspect, solo=False)
    fleet.clock.advance(10)
    return suspects


def test_a_suspect_runs_alone_after_the_others_are_committed(fleet: Fleet) -> None:
    (suspect,) = suspected(fleet, 1)
    fresh = submitted(fleet, "sample.echo", "fresh")
    assert len(run(fleet.deliver(fleet.delivery(suspect, 2), fleet.delivery(fresh))).done) == 2
    names = ["fresh", "suspect 0"]
    assert [(step, name) for name in names for step in ("echo", "echoed")] == sample_agents.HISTORY
    assert run(fleet.log.read(suspect))[2].body["solo"]
    assert fleet.receipts.deleted == [fresh], "before the suspect began"


def test_of_several_suspects_one_runs_and_the_others_go_back_at_once(fleet: Fleet) -> None:
    """If the one kills its process, none of the others waits for that."""
    suspects = suspected(fleet, 4)
    result = run(fleet.deliver(*(fleet.delivery(suspect, 2) for suspect in suspects)))
    assert (ids(result.done), ids(result.again)) == (suspects[:1], suspects[1:])
    assert sample_agents.HISTORY == [("echo", "suspect 0"), ("echoed", "suspect 0")]
    assert {task: seconds for task, seconds in fleet.receipts.visibility if task in suspects[1:]} == dict.fromkeys(
        suspects[1:], 0
    )


def test_suspects_that_are_found_while_the_batch_runs_go_back_as_well(fleet: Fleet) -> None:
    suspects = suspected(fleet, 3)
    result = run(fleet.deliver(*(fleet.delivery(suspect) for suspect in suspects)))
    assert (len(result.done), len(result.again)) == (1, 2)
    last = dict(fleet.receipts.visibility)
    assert [last[task] for task in ids(result.again)] == [0, 0]


def test_a_batch_of_suspects_is_hidden_for_no_longer_than_one_of_them_takes(fleet: Fleet) -> None:
    """Its process may die of that one, and the rest must come back soon."""
    suspects = suspected(fleet, 10)
    run(fleet.deliver(fleet.delivery(suspects[0], 2)))
    alone = max(seconds for _, seconds in fleet.receipts.visibility)
    run(fleet.deliver(*(fleet.delivery(suspect, 2) for suspect in suspects[1:])))
    assert max(seconds for _, seconds in fleet.receipts.visibility) <= 2 * alone


def test_an_attempt_lost_in_company_is_not_charged_and_one_lost_alone_is(fleet: Fleet) -> None:
    victim = submitted(fleet, "sample.echo", "victim", max_attempts=1)
    culprit = submitted(fleet, "sample.echo", "culprit", max_attempts=1)
    crashed(fleet, victim, solo=False)
    crashed(fleet, culprit, solo=True)
    fleet.clock.advance(10)
    run(fleet.deliver(fleet.delivery(victim, 2), fleet.delivery(culprit, 2)))
    run(fleet.deliver(fleet.delivery(culprit, 3)))
    assert run(fleet.state(victim)).status == "succeeded"
    state = run(fleet.state(culprit))
    assert (state.status, state.error.code) == ("dead_lettered", "worker_lost")


def test_a_task_past_its_deadline_is_expired_and_never_started(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.echo", deadline_ms=fleet.clock.now_ms() + 1000)
    fleet.clock.advance(2)
    assert ids(run(fleet.deliver(fleet.delivery(task))).done) == [task]
    assert fleet.kinds(task) == ["accepted", "expired"]


@pytest.mark.parametrize("body", ["", "[]", "{", '{"v":1}', json.dumps({"task_id": 1}), "[" * 100_000])
def test_an_unreadable_message_is_put_aside_and_does_not_loop(fleet: Fleet, body: str) -> None:
    result = run(fleet.deliver(Delivery("m", "r", "g", 1, body)))
    assert ids(result.done) == ["m"]
    assert fleet.receipts.aside[0][0] == "m"


def test_a_message_without_a_log_is_put_aside(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.echo")
    del fleet.log.logs[task]
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).done) == [task]
    assert fleet.receipts.aside == [(task, "the task has no log")]


class LogThatLosesAnswers(MemoryEventLog):
    """Writes, but the answer of every second append is lost."""

    async def append(self, event: Event) -> Event | None:
        answer = await super().append(event)
        if self.appends % 2:
            raise RetryableError("no answer")
        return answer


def test_an_append_whose_answer_was_lost_is_recognised_as_ours(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.steps")
    fleet.log.__class__ = LogThatLosesAnswers
    run(fleet.deliver(fleet.delivery(task)))
    assert fleet.kinds(task) == ["accepted", "started", *["step_recorded"] * 3, "succeeded"]
    assert sample_agents.HISTORY == [("work", "a"), ("work", "b"), ("large",)]


class LogThatIsDown(MemoryEventLog):
    """Answers nothing."""

    async def append(self, event: Event) -> Event | None:
        raise RetryableError("down")

    async def read(self, task_id: str) -> list[Event]:
        raise RetryableError("down")


def test_while_the_log_is_down_messages_stay_on_the_lane(fleet: Fleet) -> None:
    task = submitted(fleet, "sample.echo", 1)
    fleet.log.__class__ = LogThatIsDown
    assert ids(run(fleet.deliver(fleet.delivery(task))).again) == [task]
    assert not sample_agents.HISTORY


def test_an_outage_of_a_day_does_not_use_up_a_messages_receives(fleet: Fleet) -> None:
    from stacks.settings_model import Lane

    task = submitted(fleet, "sample.echo", 1)
    fleet.log.__class__ = LogThatIsDown
    waited, receive = 0, 0
    while waited < 86_400:
        receive += 1
        run(fleet.deliver(fleet.delivery(task, receive)))
        waited += fleet.receipts.visibility[-1][1]
    assert receive < Lane.model_fields["max_receive_count"].default
    assert fleet.receipts.visibility[1] == (task, 5), "a short one costs little time"


def test_visibility_is_shortened_to_what_the_batch_needs(fleet: Fleet) -> None:
    tasks = [submitted(fleet, "sample.echo", n, session="s") for n in range(2)]
    run(fleet.deliver(*(fleet.delivery(task) for task in tasks)))
    # Two agents of 10 s with 3 s of grace each, and 1 s of skew.
    assert fleet.receipts.visibility == [(tasks[0], 27), (tasks[1], 27)]


def test_a_stale_workers_commit_is_refused(fleet: Fleet) -> None:
    """A worker that was presumed dead wakes up after another one took over."""
    task = submitted(fleet, "sample.meeting", "stale", times=2)

    async def scenario() -> BatchResult:
        stale = asyncio.ensure_future(fleet.deliver(fleet.delivery(task)))
        while not sample_agents.HISTORY:
            await asyncio.sleep(0)
        fleet.clock.advance(60)
        await fleet.deliver(fleet.delivery(task, 2))
        return await stale

    result = run(scenario())
    assert ids(result.again) == [task], "the stale worker must leave the message to its successor"
    assert fleet.kinds(task) == ["accepted", "started", "started", "succeeded"]
    assert run(fleet.log.read(task))[3].actor == "worker:worker/2"
