"""Who is told that a task waits, and gets a link to decide by: each its own, and nobody who has no business with it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from flotilla.broadcast import TERMINAL
from flotilla.events import Event, Kind, TaskState, fold
from flotilla.models import Status
from flotilla.primitives.decision_token import DecisionClaims, claims_of
from flotilla.services.decision_links import LONGEST_LINK_SECONDS, DecisionLinks, SigningKey
from tests.fakes.integrations import MemorySecrets
from tests.logs import START_MS, LogBuilder
from tests.unit.services.fleet import run
from tests.unit.services.test_broadcast import Stage

KEY = "a key that nobody knows"
API = "https://api.example"
WAITING_MS = START_MS + 200


def waiting(name: str = "decision", **members: Any) -> list[Event]:
    builder = LogBuilder("tsk_1")
    accepted = {key: members.pop(key) for key in ("webhook", "deadline_ms") if key in members}
    builder.add(Kind.ACCEPTED, **accepted)
    builder.add(Kind.STARTED, attempt=1)
    builder.add(Kind.WAITING, attempt=1, **{"for": name}, **members)
    return builder.events


@pytest.fixture
def secrets() -> MemorySecrets:
    return MemorySecrets({"decisions": KEY})


@pytest.fixture
def stage(secrets: MemorySecrets) -> Stage:
    return with_links(Stage(), secrets)


def with_links(stage: Stage, secrets: MemorySecrets, api_url: str | None = API) -> Stage:
    stage.broadcaster._links = DecisionLinks(SigningKey(secrets, "decisions", stage.clock), api_url)
    return stage


def told(stage: Stage) -> dict[str, dict[str, Any]]:
    """What each endpoint was told last."""
    return {message.endpoint_id: json.loads(message.payload) for message in stage.queue.sent}


def claims(url: str) -> DecisionClaims:
    token = urlsplit(url).path.removeprefix("/v1/decisions/")
    found = claims_of(token, KEY.encode(), WAITING_MS)
    assert found is not None
    return found


def test_the_endpoint_that_the_task_names_is_told_that_it_waits(stage: Stage) -> None:
    stage.endpoint(1, events=())
    stage.endpoint(2, events=())
    assert stage.tell(*waiting(webhook="whk_1", detail={"amount": 3}, until_ms=WAITING_MS + 60_000)) is None
    assert list(told(stage)) == ["whk_1"]
    notice = told(stage)["whk_1"]
    assert notice["type"] == "task.waiting"
    assert notice["data"]["waiting"] == {
        "for": "decision",
        "since": "2023-11-14T22:13:20.200Z",
        "until": "2023-11-14T22:14:20.200Z",
        "detail": {"amount": 3},
    }


def test_an_endpoint_that_asks_for_it_is_told_of_every_wait(stage: Stage) -> None:
    stage.endpoint(1, events=(Status.WAITING,))
    stage.endpoint(2, events=TERMINAL)
    stage.tell(*waiting())
    assert list(told(stage)) == ["whk_1"]
    assert stage.told() == [], "the bus and the topic did not ask"


def test_each_endpoint_has_a_link_of_its_own(stage: Stage) -> None:
    for number in (1, 2):
        stage.endpoint(number, events=(Status.WAITING,))
    stage.tell(*waiting(until_ms=WAITING_MS + 60_001))
    for endpoint, notice in told(stage).items():
        url = notice["data"]["links"]["decide"]
        assert url.startswith(f"{API}/v1/decisions/")
        assert claims(url) == DecisionClaims("tsk_1", 2, WAITING_MS // 1000 + 61, endpoint)
    assert notice["data"]["links"]["self"] == "/v1/tasks/tsk_1"


def test_a_link_is_in_nobody_elses_notice(secrets: MemorySecrets) -> None:
    stage = with_links(Stage(transitions=list(Status)), secrets)
    stage.endpoint(1, events=(Status.WAITING,))
    stage.tell(*waiting())
    assert "decide" in told(stage)["whk_1"]["data"]["links"]
    assert all("decisions" not in notice.document for notice in stage.bus.published)


@pytest.mark.parametrize(
    ("members", "expires"),
    [
        ({}, WAITING_MS // 1000 + LONGEST_LINK_SECONDS),
        ({"until_ms": WAITING_MS + 90 * 86_400_000}, WAITING_MS // 1000 + 90 * 86_400 + 1),
        ({"until_ms": WAITING_MS + 60_000, "deadline_ms": WAITING_MS + 800}, WAITING_MS // 1000 + 1),
    ],
)
def test_a_link_works_as_long_as_the_wait_may_last(stage: Stage, members: dict[str, Any], expires: int) -> None:
    stage.endpoint(1, events=(Status.WAITING,))
    stage.tell(*waiting(**members))
    assert claims(told(stage)["whk_1"]["data"]["links"]["decide"]).expires == expires


def test_without_the_address_of_the_api_a_link_has_no_host_as_all_others(secrets: MemorySecrets) -> None:
    stage = with_links(Stage(), secrets, api_url=None)
    stage.endpoint(1, events=(Status.WAITING,))
    stage.tell(*waiting())
    assert told(stage)["whk_1"]["data"]["links"]["decide"].startswith("/v1/decisions/")


@pytest.mark.parametrize(("name", "linked"), [("decision#2", True), ("decisions", False), ("payment", False)])
def test_only_what_is_called_a_decision_has_a_link(stage: Stage, name: str, linked: bool) -> None:
    stage.endpoint(1, events=(Status.WAITING,))
    stage.tell(*waiting(name))
    assert ("decide" in told(stage)["whk_1"]["data"]["links"]) is linked


def test_told_twice_it_is_the_same_to_the_letter(stage: Stage) -> None:
    stage.endpoint(1, events=(Status.WAITING,))
    for _ in range(2):
        stage.tell(*waiting())
        stage.clock.advance(100)
    first, second = stage.queue.sent
    assert (first.id, first.payload) == (second.id, second.payload)


def test_the_key_is_read_once_and_only_where_something_waits(stage: Stage, secrets: MemorySecrets) -> None:
    stage.endpoint(1, events=(*TERMINAL, Status.WAITING))
    builder = LogBuilder("tsk_2")
    for kind in (Kind.ACCEPTED, Kind.STARTED, Kind.SUCCEEDED):
        builder.add(kind, attempt=1)
    stage.tell(*builder.events)
    assert secrets.reads == 0
    for _ in range(3):
        stage.tell(*waiting())
    assert secrets.reads == 1


def test_while_the_key_cannot_be_had_the_stream_brings_the_wait_again(stage: Stage, secrets: MemorySecrets) -> None:
    stage.endpoint(1, events=(Status.WAITING,))
    secrets.down = True
    assert stage.tell(*waiting()) == 2
    assert stage.queue.sent == []
    secrets.down = False
    assert stage.tell(*waiting()) is None
    assert "decide" in told(stage)["whk_1"]["data"]["links"]


def test_a_key_that_is_gone_holds_nobody_up(stage: Stage, secrets: MemorySecrets) -> None:
    stage.endpoint(1, events=(Status.WAITING,))
    secrets.texts.clear()
    assert stage.tell(*waiting()) is None
    assert "decide" not in told(stage)["whk_1"]["data"]["links"]


def test_where_there_are_no_endpoints_a_wait_is_not_even_read(stage: Stage) -> None:
    events = waiting()
    stage.write(events)
    assert stage.tell(events[2]) is None
    assert stage.log.reads == 0


def test_of_a_task_that_goes_on_nothing_is_linked(stage: Stage) -> None:
    links = DecisionLinks(SigningKey(MemorySecrets(), "decisions", stage.clock), API)
    builder = LogBuilder("tsk_1")
    builder.events = waiting()
    builder.add(Kind.SIGNALLED)
    state: TaskState = fold(builder.events)
    assert links.into("{}", state, "whk_1", b"key") == "{}"


def test_a_key_that_was_changed_is_known_within_five_minutes(stage: Stage, secrets: MemorySecrets) -> None:
    key = SigningKey(secrets, "decisions", stage.clock)
    assert [run(key.read()) for _ in range(3)] == [KEY.encode()] * 3
    assert secrets.reads == 1
    secrets.texts["decisions"] = "another"
    stage.clock.advance(299)
    assert run(key.read()) == KEY.encode()
    stage.clock.advance(1)
    assert run(key.read()) == b"another"


def test_while_the_secrets_do_not_answer_the_key_that_is_known_holds(stage: Stage, secrets: MemorySecrets) -> None:
    key = SigningKey(secrets, "decisions", stage.clock)
    run(key.read())
    secrets.down = True
    stage.clock.advance(400)
    assert [run(key.read()) for _ in range(3)] == [KEY.encode()] * 3
    assert secrets.reads == 2
