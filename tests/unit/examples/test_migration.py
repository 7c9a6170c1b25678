"""Every phase of the migration guide runs, and gains what the guide says of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.migration.phase_0 import loop as phase_0
from examples.migration.phase_1 import letters as agents_1
from examples.migration.phase_1 import loop as phase_1
from examples.migration.phase_2 import letters as agents_2
from examples.migration.phase_2.producer import submit_all
from examples.migration.phase_3 import letters as agents_3
from examples.migration.phase_4 import letters as agents_4
from examples.migration.post_office import PostOffice
from examples.migration.world import Killed, Letter, Mailbox, Post, letters
from flotilla.agents.decorator import definition_of
from flotilla.llm_ports import ModelUnavailableError
from stacks.definition_rules import agent_mistakes, mistakes
from stacks.definitions import load
from tests.fakes.several_models import WELL
from tests.unit.docs.markdown import REPOSITORY, blocks
from tests.unit.examples.letter_fleet import MODEL, LetterFleet
from tests.unit.services.crashes import Calls, every_failure
from tests.unit.services.fleet import run

GUIDE = REPOSITORY / "docs" / "migration.md"
EXAMPLE = REPOSITORY / "examples" / "migration"
LEGIBLE = [letter for letter in letters() if letter.id != "letter-07"]
ONE = Letter("letter-01", "My parcel has not come.")


def test_phase_0_breaks_in_the_ways_that_the_guide_shows() -> None:
    told = phase_0.main()
    assert f"{told}\n" in [shown.partition("phase_0.loop\n")[2] for shown in blocks(GUIDE, "")]
    assert "answered twice: letter-04" in told


def test_phase_1_pays_for_a_draft_once_however_often_the_loop_is_started() -> None:
    fleet, mailbox, post = LetterFleet(agents_1), Mailbox(), Post()
    with fleet.client() as flotilla:
        with pytest.raises(Killed):
            phase_1.work_off(mailbox, flotilla, post)
        phase_1.work_off(mailbox, flotilla, post)
    assert fleet.models.calls(MODEL) == len(LEGIBLE)
    assert mailbox.put_aside == {"letter-07": "illegible: there is nothing to be read in it"}
    # What it does not mend: the loop still sends, and forgets that it did.
    assert Counter(post.sent)["letter-04"] == 2
    assert set(post.sent) == {letter.id for letter in LEGIBLE}


def test_phase_1_waits_out_a_model_that_fails() -> None:
    fleet, mailbox, post = LetterFleet(agents_1), Mailbox(waiting=[ONE]), Post()
    answers = iter([ModelUnavailableError("busy")] * 3)
    fleet.models.answers[MODEL] = lambda: next(answers, WELL)
    with fleet.client() as flotilla:
        phase_1.work_off(mailbox, flotilla, post)
    assert post.sent == [ONE.id]
    assert fleet.models.calls(MODEL) == 4
    assert set(fleet.statuses().values()) == {"succeeded"}


def test_phase_2_submits_nothing_twice_and_what_is_urgent_to_the_lane_that_is_served_first() -> None:
    fleet = LetterFleet(agents_2)
    with fleet.client() as flotilla:
        first = submit_all(flotilla, letters())
        assert submit_all(flotilla, letters()) == first
    lanes = {task_id: run(fleet.fleet.state(task_id)).lane for task_id in first}
    urgent = [task_id for task_id, letter in zip(first, letters(), strict=True) if letter.urgent]
    assert [task_id for task_id, lane in lanes.items() if lane == "critical"] == urgent
    assert len(fleet.fleet.log.logs) == len(letters())


def test_phase_2_goes_on_past_a_letter_that_nobody_can_read() -> None:
    fleet = LetterFleet(agents_2)
    with fleet.client() as flotilla:
        tasks = submit_all(flotilla, letters())
    fleet.work()
    ended = [fleet.statuses()[task_id] for task_id in tasks]
    assert Counter(ended) == {"succeeded": len(LEGIBLE), "dead_lettered": 1}
    assert sorted(fleet.posted()) == [letter.id for letter in LEGIBLE]


def test_phase_2_may_ask_a_model_again_and_phase_3_does_not_where_the_draft_was_recorded() -> None:
    asked = {agents: set(_played(agents)) for agents in (agents_2, agents_3)}
    assert {times for times, _ in asked[agents_2]} == {1, 2}
    # Only a process that dies between the model's answer and its record has it asked again.
    assert {times for times, recorded in asked[agents_3] if recorded} == {1}
    assert {times for times, _ in asked[agents_3]} <= {1, 2}


def _played(agents: Any) -> Iterator[tuple[int, bool]]:
    """Each call of a worker's failing in every way: how often a model was asked, and whether its draft was recorded.

    Whatever failed, the letter is answered once.
    """
    counting = Calls()
    fleet = LetterFleet(agents)
    _submit_one(fleet)
    fleet.work(fleet.another_process(counting))
    for calls in every_failure(len(counting.made)):
        fleet = LetterFleet(agents)
        _submit_one(fleet)
        fleet.work(fleet.another_process(calls))
        assert set(fleet.statuses().values()) == {"succeeded"}
        assert fleet.posted() == [ONE.id], (calls.made, calls.fate)
        [log] = [sorted(events.items()) for events in fleet.fleet.log.logs.values()]
        first = [event.kind.value for _, event in log if event.attempt <= 1]
        yield fleet.asked(ONE.text), "step_recorded" in first


def _submit_one(fleet: LetterFleet) -> None:
    with fleet.client() as flotilla:
        submit_all(flotilla, [ONE])


def test_phase_3_says_what_is_wrong_with_a_letter_at_once() -> None:
    fleet = LetterFleet(agents_3)
    with fleet.client() as flotilla:
        tasks = submit_all(flotilla, [Letter("letter-07", "▒▒")])
        fleet.work()
    state = run(fleet.fleet.state(tasks[0]))
    assert (state.error.code, state.attempt) == ("illegible", 1)


def test_phase_4_is_a_workflow_of_agents_that_are_there() -> None:
    definition = load("answer-letter", "answer-letter.asl.json", EXAMPLE / "phase_4")
    agents = {found.name: found for each in vars(agents_4).values() if (found := definition_of(each)) is not None}
    lanes: dict[str, Any] = dict.fromkeys(("critical", "standard", "batch"))
    assert [each.told(definition) for each in mistakes(definition, lanes)] == []
    assert [each.told(definition) for each in agent_mistakes(definition, agents)] == []
    assert [(step.name, step.agent) for step in definition.steps] == [
        ("Sort", "letter.sort"),
        ("Draft", "letter.draft"),
        ("Send", "letter.send"),
    ]


def test_phase_4s_agents_do_what_the_workflow_asks_of_them() -> None:
    fleet = LetterFleet(agents_4)
    letter = {"id": ONE.id, "text": ONE.text}
    with fleet.client() as flotilla:
        assert flotilla.result("letter.sort", letter, key="1") == {"kind": "other"}
        draft = flotilla.result("letter.draft", letter, key="2")
        sent = flotilla.result("letter.send", {"id": ONE.id, "text": draft["text"]}, key="3")
    assert sent == {"letter": ONE.id}
    assert fleet.posted() == [ONE.id]


def test_the_post_office_drops_what_it_has_seen() -> None:
    with PostOffice(port=0) as office:
        threading.Thread(target=office.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{office.server_port}/letters"
        with httpx.Client(trust_env=False) as http:
            codes = [
                http.post(url, json={"letter": "a"}, headers={"Idempotency-Key": key}).status_code for key in "xxy"
            ]
            assert http.get(url).json() == [{"letter": "a"}, {"letter": "a"}]
        office.shutdown()
    assert codes == [201, 200, 201]
    assert office.handed_in == 3


@pytest.mark.parametrize("phase", ["phase_1", "phase_2", "phase_3", "phase_4"])
def test_the_guide_names_every_file_of_a_phase(phase: str) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    files: list[Path] = [path for path in (EXAMPLE / phase).iterdir() if path.is_file()]
    assert files
    for path in files:
        assert f"{phase}/{path.name}" in text or path.name.endswith(".input.json"), path
