"""A workflow's token answers its state, so it is told to nobody; and what is told of its task can still be verified."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

import pytest

from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind, fold, verify_chain
from flotilla.events.archive_file import pack, unpack
from flotilla.events.event import sealed
from flotilla.events.told import tell, untell_log
from flotilla.models import TaskMessage, WorkflowStep
from flotilla.services.dispatch import message_for
from flotilla.services.notices import Notices
from flotilla.services.project import entry_of
from tests.logs import LogBuilder
from tests.unit.api.api import Api
from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.ordering import RUN, TOKEN, asked, order_of, worked

TASK = "tsk_" + "0" * 32
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
STEP = WorkflowStep(RUN, "Extract", TOKEN)


@pytest.fixture
def fleet() -> Fleet:
    sample_agents.HISTORY.clear()
    return Fleet(sample_agents.ALL)


def log(*kinds: Kind) -> list[Event]:
    builder = LogBuilder(TASK)
    builder.add(Kind.ACCEPTED, actor="workflow:document-analysis", workflow=STEP.to_json(), parent=RUN)
    for kind in kinds:
        builder.add(kind, attempt=1)
    return builder.events


def test_a_told_event_holds_the_digest_of_the_token() -> None:
    (told,) = [tell(event) for event in log()]
    assert told["workflow"] == {"run": RUN, "step": "Extract", "token_sha256": DIGEST}
    assert TOKEN not in json.dumps(told)


def test_a_told_log_verifies_and_its_fold_can_answer_nobody() -> None:
    events = log(Kind.STARTED, Kind.SUCCEEDED)
    told = untell_log(json.loads(json.dumps([tell(event) for event in events])), task_id=TASK)
    verify_chain(told)
    assert [event.hash for event in told] == [event.hash for event in events]
    assert fold(told).workflow == WorkflowStep(RUN, "Extract", "")
    assert fold(events).workflow == STEP


@pytest.mark.parametrize(
    "change",
    [{"token_sha256": "0" * 64}, {"run": "wfl_" + "1" * 32}, {"step": "Else"}, {"token": "another"}, {"more": 1}],
    ids=str,
)
def test_whatever_is_altered_in_it_is_found_out(change: dict[str, Any]) -> None:
    told = json.loads(json.dumps([tell(event) for event in log(Kind.STARTED)]))
    told[0]["workflow"] |= change
    with pytest.raises(CorruptLogError):
        verify_chain(untell_log(told, task_id=TASK))


def test_what_is_sealed_stays_so_and_what_is_not_a_steps_stays_as_it_is() -> None:
    body = log()[0].body
    assert sealed(sealed(body)) == sealed(body) != body
    for other in ({}, {"workflow": "of a client"}, {"workflow": {"run": RUN}}, {"token": "a client's"}):
        assert sealed(other) == other


def test_the_log_that_was_stored_and_archived_verifies_too() -> None:
    events = log(Kind.STARTED, Kind.SUCCEEDED)
    verify_chain(events)
    archived = list(unpack(pack([events])))
    verify_chain(archived)
    assert [event.hash for event in archived] == [event.hash for event in events]


def test_a_message_keeps_the_token_since_the_worker_answers_by_it() -> None:
    message = message_for(fold(log()))
    assert TaskMessage.from_body(message.to_body()).workflow == STEP


def test_neither_notices_nor_the_read_model_have_it(fleet: Fleet) -> None:
    events = log(Kind.STARTED, Kind.SUCCEEDED)
    for seq in range(len(events)):
        state, notice = run(Notices(fleet.claim_check).make(events, seq))
        assert TOKEN not in notice.payload
        assert TOKEN not in str(notice.attributes)
        assert TOKEN not in repr(entry_of(state))


def test_the_api_tells_it_to_nobody() -> None:
    api = Api()
    for event in log(Kind.STARTED, Kind.SUCCEEDED):
        run(api.memory.append(event))
    for path in (f"/v1/tasks/{TASK}", f"/v1/tasks/{TASK}/events"):
        answer = api.call("GET", path)
        assert answer.status == 200
        assert TOKEN not in json.dumps(answer.json())
    told = api.call("GET", f"/v1/tasks/{TASK}/events").json()["items"]
    verify_chain(untell_log(told, task_id=TASK))
    assert told[0]["workflow"]["token_sha256"] == DIGEST


@pytest.mark.parametrize("agent", ["sample.echo", "sample.failing", "sample.parking", "sample.later"])
def test_no_line_of_the_log_has_it(fleet: Fleet, agent: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = asked(fleet, agent, 30, times=1)
    for count in range(1, 4):
        worked(fleet, body, count)
        fleet.clock.advance(200)
    worked(fleet, asked(fleet, agent, lane="none"))
    worked(fleet, asked(fleet, agent, max_attempts=0, step="Else"))
    assert caplog.records
    assert not [record for record in caplog.records if TOKEN in str(vars(record))]


def test_an_agent_is_not_told_it(fleet: Fleet) -> None:
    body = asked(fleet, value="x")
    worked(fleet, body)
    assert TOKEN not in str(sample_agents.HISTORY)
    state = run(fleet.state(order_of(body).task_id))
    assert TOKEN not in str((state.input, state.output, state.labels, state.fingerprint))
