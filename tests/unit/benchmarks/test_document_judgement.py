"""The judge of the document benchmark, shown runs in which something is wrong that it has to find."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from benchmarks.documents.judgement import STEPS, Judgement, judge
from benchmarks.documents.probe import Waits, waits
from benchmarks.documents.variety import Varied
from flotilla.events import Event, Kind
from tests.logs import LogBuilder, log_of

RUN = "wfl_" + "0" * 32
DOCUMENTS = [Varied(number, "mit.txt", "permissive", f"text {number}") for number in range(3)]


def step_log(document: str, step: str, *, run: str = RUN, task_id: str | None = None) -> list[Event]:
    log = LogBuilder(task_id or f"tsk_{document}_{step}")
    log.add(
        Kind.ACCEPTED,
        actor="workflow:document-analysis",
        input={"inline": {"document": {"id": document}}},
        workflow={"run": run, "step": step, "token": f"{document}/{step}"},
    )
    log.add(Kind.STARTED, attempt=1)
    log.add(Kind.SUCCEEDED, attempt=1)
    return log.events


def line_of(document: str) -> dict[str, Any]:
    tasks = {step.lower(): f"tsk_{document}_{step}" for step in STEPS}
    return {"id": document, "status": "done", "class": "permissive", "tasks": tasks}


def run_log(*kinds: Kind) -> list[Event]:
    log = LogBuilder(RUN)
    log.add(Kind.ACCEPTED, actor="key:k1", agent="workflow:document-analysis")
    for kind in kinds:
        log.add(kind, actor="recorder:r/1")
    return log.events


@dataclass
class Story:
    """A run in which all is well, until a test changes something."""

    logs: dict[str, list[Event]] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    histories: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: list[Varied]) -> Story:
        story = cls({RUN: run_log(Kind.SUCCEEDED)})
        for document in documents:
            story.lines.append(line_of(document.id))
            story.histories[document.id] = len(STEPS)
            for step in STEPS:
                story.put(step_log(document.id, step))
        story.put(log_of(Kind.STARTED, Kind.SUCCEEDED, task_id="tsk_of_somebody_else"))
        return story

    def put(self, events: list[Event]) -> None:
        self.logs[events[0].task_id] = events

    def judged(self) -> Judgement:
        report = "".join(json.dumps(line) + "\n" for line in self.lines)
        return judge(self.logs, RUN, DOCUMENTS, report, self.histories)


@pytest.fixture
def story() -> Story:
    return Story.of(DOCUMENTS)


def test_a_run_in_which_all_is_well_is_not_found_fault_with(story: Story) -> None:
    found = story.judged()
    assert found.violations == []
    assert (found.lines, found.done, found.judged, found.right) == (3, 3, 3, 3)
    assert found.tasks == {"Extract": 3, "Classify": 3, "Summarize": 3}
    assert (found.attempts, found.retried, found.taken_over, found.logs) == (9, 0, 0, 11)


def test_attempts_after_a_lost_worker_are_counted_and_no_fault(story: Story) -> None:
    log = LogBuilder("tsk_doc-00001_Extract")
    log.add(Kind.ACCEPTED, workflow={"run": RUN, "step": "Extract", "token": "t"})
    log.add(Kind.STARTED, attempt=1)
    log.add(Kind.STARTED, attempt=2, actor="worker:other/2", takes_over={"attempt": 1, "worker": "worker:w/1"})
    log.add(Kind.SUCCEEDED, attempt=2, actor="worker:other/2")
    story.put(log.events)
    found = story.judged()
    assert found.violations == []
    assert (found.attempts, found.retried, found.taken_over) == (10, 1, 1)


def lose_a_line(story: Story) -> None:
    story.lines.pop()


def repeat_a_line(story: Story) -> None:
    story.lines.append(story.lines[0])


def add_a_stranger(story: Story) -> None:
    story.lines.append(line_of("doc-99999"))


def fail_a_document(story: Story) -> None:
    story.lines[0] |= {"status": "failed", "error": "document_unreadable", "message": "no text"}


def run_a_step_twice(story: Story) -> None:
    story.put(step_log("doc-00001", "Classify", task_id="tsk_again"))


def forget_a_step(story: Story) -> None:
    del story.logs["tsk_doc-00002_Summarize"]


def name_anothers_task(story: Story) -> None:
    story.lines[0]["tasks"] |= {"extract": story.lines[1]["tasks"]["extract"]}


def swap_two_tasks(story: Story) -> None:
    first, second = story.lines[0]["tasks"], story.lines[1]["tasks"]
    first["extract"], second["extract"] = second["extract"], first["extract"]


def succeed_twice(story: Story) -> None:
    log = LogBuilder("tsk_doc-00000_Extract")
    log.add(Kind.ACCEPTED, workflow={"run": RUN, "step": "Extract", "token": "t"})
    log.add(Kind.STARTED, attempt=1)
    log.add(Kind.SUCCEEDED, attempt=1)
    log.add(Kind.SUCCEEDED, attempt=1)
    story.put(log.events)


def commit_without_holding_it(story: Story) -> None:
    log = LogBuilder("tsk_doc-00000_Extract")
    log.add(Kind.ACCEPTED, workflow={"run": RUN, "step": "Extract", "token": "t"})
    log.add(Kind.STARTED, attempt=1)
    log.add(Kind.SUCCEEDED, attempt=1, actor="worker:stale/0")
    story.put(log.events)


def leave_a_task_at_work(story: Story) -> None:
    story.put(log_of(Kind.STARTED, task_id="tsk_of_somebody_else"))


def alter_an_event(story: Story) -> None:
    events = story.logs["tsk_doc-00000_Extract"]
    events[1] = replace(events[1], at_ms=events[1].at_ms + 1)


def lose_the_run(story: Story) -> None:
    del story.logs[RUN]


def fail_the_run(story: Story) -> None:
    story.logs[RUN] = run_log(Kind.DEAD_LETTERED)


def do_a_state_twice(story: Story) -> None:
    story.histories["doc-00001"] = len(STEPS) + 1


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lose_a_line, "doc-00002: no line"),
        (repeat_a_line, "doc-00000: 2 lines"),
        (add_a_stranger, "doc-99999: in the report, and nobody sent it"),
        (fail_a_document, "doc-00000: failed: document_unreadable"),
        (run_a_step_twice, "tsk_again: a second Classify"),
        (forget_a_step, "doc-00002: its Summarize is no task of its own"),
        (name_anothers_task, "doc-00001: its Extract is no task of its own"),
        (swap_two_tasks, "doc-00000: its Extract is that of doc-00001"),
        (succeed_twice, "2 successes of Extract"),
        (commit_without_holding_it, "by who did not hold it"),
        (leave_a_task_at_work, "tsk_of_somebody_else: 0 ends"),
        (alter_an_event, "was altered"),
        (lose_the_run, "the run was accepted and lost"),
        (fail_the_run, "the run dead_lettered"),
        (do_a_state_twice, "doc-00001: Step Functions did 4 states"),
    ],
)
def test_what_must_never_be_is_found(story: Story, harm: Callable[[Story], None], told: str) -> None:
    harm(story)
    assert any(told in violation for violation in story.judged().violations), story.judged().violations


def test_a_line_that_is_no_json_is_told(story: Story) -> None:
    report = "".join(json.dumps(line) + "\n" for line in story.lines) + "{broken\n"
    found = judge(story.logs, RUN, DOCUMENTS, report, story.histories)
    assert found.violations == ["line 4 of the report is none"]


def test_a_document_of_another_class_is_counted_and_no_promise_broken(story: Story) -> None:
    story.lines[0]["class"] = "report"
    found = story.judged()
    assert (found.right, found.violations) == (2, [])


def test_a_probe_waits_from_its_acceptance_to_its_first_start() -> None:
    log = LogBuilder("tsk_1")
    log.add(Kind.ACCEPTED, at_ms=1_000)
    log.add(Kind.STARTED, attempt=1, at_ms=1_030)
    log.add(Kind.STARTED, attempt=2, at_ms=9_000)
    found = waits({"tsk_1": log.events, "tsk_2": log_of(task_id="tsk_2")}, ["tsk_1", "tsk_2", "tsk_lost"])
    assert (found.found, found.unstarted) == (((1_000, 30),), 2)


def test_probes_right_after_a_worker_of_their_lane_was_killed_are_told_apart() -> None:
    found = Waits(((1_000, 20), (10_000, 2_000), (20_000, 30), (30_000, 40)))
    calm = found.apart_from([(9_500, "flotilla-worker-critical"), (19_500, "flotilla-worker-batch")])
    assert calm.found == ((1_000, 20), (20_000, 30), (30_000, 40))
    assert (found.p(95), calm.p(95)) == (2_000, 40)
