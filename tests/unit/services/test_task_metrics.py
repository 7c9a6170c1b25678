"""What is counted of tasks is what their logs say, each event once, whatever a process remembers."""

from __future__ import annotations

import pytest

from flotilla.events import Event, Kind
from flotilla.primitives.canary import CANARY_AGENT
from flotilla.services.task_metrics import TaskMetrics
from tests.fakes.metrics import MemoryMetrics
from tests.logs import START_MS, LogBuilder, log_of
from tests.unit.services.fleet import run
from tests.unit.services.projecting import Followed

BY = {"lane": "standard", "agent": "sample.echo"}
GOLD = {"class": "gold"}


def told(log: list[Event], since_seq: int = 0, classes: dict[str, str] | None = None) -> MemoryMetrics:
    metrics = MemoryMetrics()
    TaskMetrics(metrics, classes or {}).tell(log, since_seq)
    return metrics


def test_a_happy_task_is_counted_by_lane_agent_and_class() -> None:
    metrics = told(log_of(Kind.STARTED, Kind.SUCCEEDED), classes={"acme": "gold"})
    assert metrics.counted("TasksAccepted", lane="standard") == 1
    assert metrics.counted("TasksSucceeded", **BY, **GOLD) == 1
    assert metrics.values("QueueDelay", lane="standard", **GOLD) == [100]
    assert metrics.values("AttemptDuration", agent="sample.echo") == [7]
    assert metrics.values("EndToEnd", **BY) == [200]
    assert metrics.names() == {"TasksAccepted", "TasksSucceeded", "QueueDelay", "AttemptDuration", "EndToEnd"}


def test_a_tenant_without_a_class_is_of_the_default_one() -> None:
    metrics = told(log_of(Kind.STARTED, Kind.DEAD_LETTERED), classes={"umbrella": "gold"})
    assert metrics.counted("TasksDeadLettered", **BY, **{"class": "default"}) == 1


def test_each_attempt_is_counted_and_only_the_first_has_waited_in_the_queue() -> None:
    metrics = told(log_of(Kind.STARTED, Kind.ATTEMPT_FAILED, Kind.STARTED, Kind.STEP_RECORDED, Kind.DEAD_LETTERED))
    assert metrics.counted("AttemptsFailed", **BY) == 2
    assert metrics.values("AttemptDuration", agent="sample.echo") == [1, 9]
    assert metrics.values("QueueDelay", lane="standard", **{"class": "default"}) == [100]
    assert metrics.values("EndToEnd", **BY) == [500]


def test_a_lost_attempt_is_a_takeover_by_the_next() -> None:
    metrics = told(log_of(Kind.STARTED, Kind.STEP_RECORDED, Kind.STARTED, Kind.STARTED, Kind.SUCCEEDED))
    assert metrics.counted("Takeovers", **BY) == 2
    assert metrics.values("QueueDelay", lane="standard", **{"class": "default"}) == [100]
    assert metrics.counted("AttemptsFailed", **BY) == 0


def test_waiting_for_its_time_is_no_delay() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, actor="key:k1", due_at_ms=START_MS + 60_000)
    builder.add(Kind.STARTED, attempt=1, at_ms=START_MS + 60_020)
    builder.add(Kind.SUCCEEDED, attempt=1, at_ms=START_MS + 60_050)
    metrics = told(builder.events)
    assert metrics.values("QueueDelay", lane="standard", **{"class": "default"}) == [20]
    assert metrics.values("EndToEnd", **BY) == [50]


def test_a_task_that_begins_anew_is_due_then() -> None:
    log = log_of(Kind.STARTED, Kind.DEAD_LETTERED, Kind.REDRIVEN, Kind.STARTED, Kind.SUCCEEDED)
    metrics = told(log)
    assert metrics.values("QueueDelay", lane="standard", **{"class": "default"}) == [100, 100]
    assert metrics.values("EndToEnd", **BY) == [200, 200]
    assert metrics.counted("TasksAccepted", lane="standard") == 1


@pytest.mark.parametrize(
    ("kinds", "name"),
    [([Kind.EXPIRED], "TasksExpired"), ([Kind.PARKED], "TasksParked"), ([Kind.STARTED, Kind.PARKED], "TasksParked")],
)
def test_what_is_no_failure_is_counted_by_lane_and_agent(kinds: list[Kind], name: str) -> None:
    metrics = told(log_of(*kinds))
    assert metrics.counted(name, **BY) == 1
    assert not metrics.names() & {"AttemptsFailed", "AttemptDuration", "EndToEnd"}


def test_what_others_dead_letter_is_no_attempt_that_failed() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, actor="key:k1")
    builder.add(Kind.STARTED, attempt=1)
    body = {"cause": "worker_lost", "error": {"code": "worker_lost", "message": "it died", "retryable": False}}
    dead = builder.add(Kind.DEAD_LETTERED, attempt=1, actor="triage:t/1", **body)
    dead.body.pop("usage")
    metrics = told(builder.events)
    assert metrics.counted("TasksDeadLettered", **BY, **{"class": "default"}) == 1
    assert not metrics.names() & {"AttemptsFailed", "AttemptDuration"}


def test_models_and_compute_are_what_a_task_costs() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, actor="key:k1")
    builder.add(Kind.STARTED, attempt=1)
    used = {"duration_ms": 1, "cost_usd": 0.5, "compute_usd": 0.25, "peak_memory_mb": 91}
    builder.add(Kind.ATTEMPT_FAILED, attempt=1, usage=used)
    builder.add(Kind.STARTED, attempt=2)
    builder.add(Kind.SUCCEEDED, attempt=2, usage={"duration_ms": 1, "compute_usd": 0.125, "peak_memory_mb": 93})
    metrics = told(builder.events)
    assert metrics.sum("CostUsd", agent="sample.echo", **{"class": "default"}) == 0.875
    assert metrics.values("PeakMemory", lane="standard") == [91, 93]


def test_canaries_are_no_clients_tasks_and_are_not_counted_among_them() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, actor="canary", agent=CANARY_AGENT)
    builder.add(Kind.STARTED, attempt=1)
    builder.add(Kind.SUCCEEDED, attempt=1)
    assert told(builder.events).names() == set()


def test_runs_of_workflows_are_not_counted() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, actor="key:k1", agent="workflow:approval")
    builder.add(Kind.SUCCEEDED)
    assert told(builder.events).names() == set()


def test_however_a_log_is_cut_into_batches_each_event_is_counted_once() -> None:
    log = log_of(Kind.STARTED, Kind.ATTEMPT_FAILED, Kind.PARKED, Kind.STARTED, Kind.STEP_RECORDED, Kind.SUCCEEDED)
    for cut in range(1, len(log)):
        metrics = MemoryMetrics()
        followed = Followed(metrics=metrics)
        run(followed.follow(log[:cut], log[cut:], log))
        for name in ("TasksAccepted", "AttemptsFailed", "TasksParked", "TasksSucceeded"):
            assert metrics.total(name) == 1, (cut, name)
        assert len(metrics.values("EndToEnd", **BY)) == 1


def test_what_is_stored_already_was_counted_by_who_stored_it() -> None:
    metrics = MemoryMetrics()
    followed = Followed(metrics=metrics)
    log = log_of(Kind.STARTED, Kind.SUCCEEDED)
    run(followed.follow(log))
    followed.restart()
    run(followed.follow(log))
    assert metrics.total("TasksSucceeded") == 1


def test_what_is_not_stored_yet_is_not_counted_yet() -> None:
    metrics = MemoryMetrics()
    followed = Followed(metrics=metrics)
    followed.weather.percent = 100
    log = log_of(Kind.STARTED, Kind.SUCCEEDED)
    run(followed.follow(log))
    assert metrics.names() == set()
