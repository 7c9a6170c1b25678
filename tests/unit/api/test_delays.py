"""`delay_seconds`, `run_at` and `webhook` of `POST /v1/tasks`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.clock import rfc3339
from tests.gateway_events import identity
from tests.unit.api.api import ENDPOINT, Api

ECHO: dict[str, Any] = {"agent": "echo", "input": 1}
YEAR_SECONDS = 31_536_000


@pytest.fixture
def api() -> Api:
    return Api()


def at(api: Api, seconds: float) -> str:
    return rfc3339(api.clock.now_ms() + int(seconds * 1000))


@pytest.mark.parametrize("delay", [1, 1.5, 60, 899.999, 900])
def test_a_delayed_task_is_scheduled_and_waits_on_the_ladder(api: Api, delay: float) -> None:
    answer = api.submit(ECHO | {"delay_seconds": delay})
    task = answer.json()
    assert (answer.status, task["status"], task["due_at"]) == (202, "scheduled", at(api, delay))
    assert not api.lanes.sent
    [[message]] = [list(tier.values()) for tier in api.delays.tiers.values()]
    assert message.not_before_ms == api.clock.now_ms() + int(delay * 1000)
    [event] = api.call("GET", f"/v1/tasks/{task['id']}/events").json()["items"]
    assert event["due_at"] == at(api, delay)


@pytest.mark.parametrize("delay", [901, 86_400, YEAR_SECONDS])
def test_what_is_due_later_is_left_to_the_scheduler(api: Api, delay: int) -> None:
    task = api.submit(ECHO | {"delay_seconds": delay}).json()
    assert task["due_at"] == at(api, delay)
    assert [message.task_id for message, _ in api.schedules.waiting.values()] == [task["id"]]


def test_a_time_is_as_good_as_a_delay(api: Api) -> None:
    task = api.submit(ECHO | {"run_at": at(api, 90)}).json()
    assert (task["status"], task["due_at"]) == ("scheduled", at(api, 90))


@pytest.mark.parametrize("seconds", [0, -0.001, -1, -(10**9)])
def test_a_time_that_has_passed_is_now(api: Api, seconds: float) -> None:
    task = api.submit(ECHO | {"run_at": at(api, seconds)}).json()
    assert (task["status"], task["due_at"]) == ("queued", None)
    assert len(api.lanes.sent) == 1


def test_a_sessions_task_waits_on_its_lane(api: Api) -> None:
    task = api.submit(ECHO | {"delay_seconds": 43_200, "session": "s"}).json()
    assert task["status"] == "scheduled"
    [message] = api.lanes.sent.values()
    assert message.not_before_ms == api.clock.now_ms() + 43_200_000


def test_a_delay_counts_from_the_first_call_whatever_is_repeated(api: Api) -> None:
    first = api.submit(ECHO | {"delay_seconds": 60}, idempotency_key="k")
    api.clock.advance(30)
    again = api.submit(ECHO | {"delay_seconds": 60}, idempotency_key="k")
    assert again.headers["idempotent-replay"] == "true"
    assert again.json()["due_at"] == first.json()["due_at"]
    api.submit(ECHO | {"delay_seconds": 61}, idempotency_key="k").problem(422, "idempotency-key-reused")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"delay_seconds": 0}, "/delay_seconds"),
        ({"delay_seconds": 0.999}, "/delay_seconds"),
        ({"delay_seconds": -1}, "/delay_seconds"),
        ({"delay_seconds": YEAR_SECONDS + 1}, "/delay_seconds"),
        ({"delay_seconds": 10**300}, "/delay_seconds"),
        ({"delay_seconds": "5"}, "/delay_seconds"),
        ({"delay_seconds": True}, "/delay_seconds"),
        ({"delay_seconds": 43_201, "session": "s"}, "/delay_seconds"),
        ({"run_at": "+43201", "session": "s"}, "/run_at"),
        ({"run_at": f"+{YEAR_SECONDS + 1}"}, "/run_at"),
        ({"run_at": "tomorrow"}, "/run_at"),
        ({"run_at": 1_900_000_000}, "/run_at"),
        ({"run_at": "+5", "delay_seconds": 5}, "/run_at"),
        ({"delay_seconds": 60, "deadline": "+60"}, "/deadline"),
        ({"run_at": "+60", "deadline": "+59"}, "/deadline"),
        ({"deadline": "+0"}, "/deadline"),
        ({"webhook": "whk_2"}, "/webhook"),
        ({"webhook": ENDPOINT.url + "/"}, "/webhook"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_written(api: Api, change: dict[str, Any], path: str) -> None:
    body = {
        name: at(api, int(value)) if isinstance(value, str) and value.startswith("+") else value
        for name, value in change.items()
    }
    found = api.submit(ECHO | body).problem(422, "invalid-input")
    assert [error["path"] for error in found["errors"]] == [path]
    assert (api.memory.appends, api.lanes.sends, api.delays.sends) == (0, 0, 0)


def test_a_deadline_after_the_task_is_due_is_kept(api: Api) -> None:
    task = api.submit(ECHO | {"delay_seconds": 60, "deadline": at(api, 61)}).json()
    assert (task["due_at"], task["deadline"]) == (at(api, 60), at(api, 61))


@pytest.mark.parametrize("name", [ENDPOINT.id, ENDPOINT.url])
def test_a_webhook_is_kept_by_the_id_of_its_endpoint(api: Api, name: str) -> None:
    task = api.submit(ECHO | {"webhook": name}).json()
    assert api.events(task["id"])[0].body["webhook"] == ENDPOINT.id


def test_another_tenants_endpoint_is_none(api: Api) -> None:
    answer = api.call("POST", "/v1/tasks", ECHO | {"webhook": ENDPOINT.id}, authorizer=identity("umbrella"))
    assert answer.problem(422, "invalid-input")["errors"][0]["path"] == "/webhook"


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**20), 10**20)))
def test_any_delay_is_refused_or_kept_and_never_shortened(delay: float) -> None:
    api = Api()
    answer = api.submit(ECHO | {"delay_seconds": delay})
    if answer.status == 202:
        assert 1 <= delay <= YEAR_SECONDS
        assert api.events(answer.json()["id"])[0].body["due_at_ms"] >= api.clock.now_ms() + delay * 1000
    else:
        answer.problem(422, "invalid-input")
        assert not 1 <= delay <= YEAR_SECONDS
