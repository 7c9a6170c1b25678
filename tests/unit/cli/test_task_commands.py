"""The commands about tasks beyond submitting: list, watch, cancel, delays."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from cli.__main__ import main
from tests.unit.cli.fake_api import CONNECTION, FakeApi, finished, problem, queued


def typed(api: FakeApi, *arguments: str) -> int:
    return main(arguments, connection=CONNECTION, transport=api.transport)


def page(items: object, next_cursor: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"items": items, "next_cursor": next_cursor})


def event(seq: int, kind: str) -> dict[str, object]:
    common = {"actor": "key:k", "attempt": 0, "hash": "a" * 64, "prev_hash": "0" * 64}
    return {"seq": seq, "kind": kind, "at": "2026-11-21T09:00:00.100Z", **common}


def test_submit_tells_when_to_run_and_what_to_keep() -> None:
    api = FakeApi()
    assert typed(api, "submit", "a.b", "x=1", "--delay", "90", "--label", "team=a=b", "--webhook", "whk_1") == 0
    body = next(iter(api.tasks.values()))
    assert body["delay_seconds"] == 90
    assert body["labels"] == {"team": "a=b"}
    assert body["webhook"] == "whk_1"


def test_a_delay_and_a_time_are_not_taken_together() -> None:
    with pytest.raises(SystemExit) as exit_:
        typed(FakeApi(), "submit", "a.b", "x=1", "--delay", "90", "--at", "2030-01-01T00:00:00Z")
    assert exit_.value.code == 2


def test_a_label_without_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(FakeApi(), "submit", "a.b", "x=1", "--label", "plain") == 2
    assert "NAME=TEXT" in capsys.readouterr().err


def test_list_passes_filters_on_and_follows_the_cursor_as_far_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(page([queued("tsk_1"), queued("tsk_2")], "more"), page([queued("tsk_3"), queued("tsk_4")], "more"))
    assert typed(api, "list", "--status", "queued", "--since", "2030-01-01T00:00:00Z", "--limit", "3", "--json") == 0
    assert [task["id"] for task in json.loads(capsys.readouterr().out)] == ["tsk_1", "tsk_2", "tsk_3"]
    asked = [parse_qs(urlsplit(call).query) for call in api.calls]
    first = {"status": ["queued"], "created_after": ["2030-01-01T00:00:00Z"], "limit": ["3"]}
    assert asked == [first, first | {"cursor": ["more"]}]


def test_list_prints_a_line_for_each_task(capsys: pytest.CaptureFixture[str]) -> None:
    failed = finished("tsk_1", status="dead_lettered", error={"code": "x", "message": "y", "retryable": False})
    assert typed(FakeApi(page([failed])), "list") == 0
    assert "dead_lettered" in capsys.readouterr().out


def test_watch_prints_each_event_once_and_ends_with_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(
        httpx.Response(200, json=queued("tsk_1")),
        page([event(0, "accepted")]),
        httpx.Response(200, json=finished("tsk_1")),
        page([event(1, "started"), event(2, "succeeded")]),
        httpx.Response(200, json=finished("tsk_1")),
    )
    assert typed(api, "watch", "tsk_1", "--json") == 0
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == [0, 1, 2]
    assert api.calls[3].endswith("events?cursor=0")


def test_watch_of_a_task_that_did_not_succeed_fails() -> None:
    cancelled = finished("tsk_1", status="cancelled")
    answers = [httpx.Response(200, json=cancelled), page([]), httpx.Response(200, json=cancelled)]
    assert typed(FakeApi(*answers), "watch", "tsk_1") == 1


def test_cancel_goes_on_past_a_task_there_is_not_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(problem(404, "not-found"), httpx.Response(202, json=finished("tsk_2", status="cancelled")))
    assert typed(api, "cancel", "tsk_1", "tsk_2", "--json") == 1
    printed = capsys.readouterr()
    assert [task["id"] for task in json.loads(printed.out)] == ["tsk_2"]
    assert "tsk_1" in printed.err
    assert api.calls == ["POST /v1/tasks/tsk_1/cancel", "POST /v1/tasks/tsk_2/cancel"]


def test_cancel_of_a_task_that_had_ended_otherwise_fails() -> None:
    assert typed(FakeApi(httpx.Response(202, json=finished("tsk_1"))), "cancel", "tsk_1") == 1


def test_submit_tells_what_a_task_may_cost() -> None:
    api = FakeApi()
    assert typed(api, "submit", "a.b", "x=1", "--budget-usd", "0.25") == 0
    assert next(iter(api.tasks.values()))["budget_usd"] == 0.25


@pytest.mark.parametrize("amount", ["much", "nan", "inf", "0", "-1"])
def test_a_budget_that_is_no_amount_is_refused_before_anything_is_asked(amount: str) -> None:
    api = FakeApi()
    with pytest.raises(SystemExit) as exit_:
        typed(api, "submit", "a.b", "x=1", f"--budget-usd={amount}")
    assert exit_.value.code == 2
    assert api.calls == []


def test_get_shows_what_a_task_may_cost_and_did_and_which_model_served_instead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failover = {"route": "fast", "requested": "nova", "served": "haiku", "why": "circuit_open"}
    usage = {"model_calls": 1, "cost_usd": 0.000011, "cached": False, "failovers": [failover]}
    api = FakeApi(httpx.Response(200, json=finished("tsk_1", budget_usd=0.5, usage=usage)))
    assert typed(api, "get", "tsk_1") == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {name: rest for name, _, rest in (line.partition(" ") for line in lines)}
    assert shown["budget_usd"].strip() == "0.50"
    assert shown["usage"].strip() == "model_calls 1, cost_usd 0.000011"
    assert shown["failover"].strip() == "fast: haiku instead of nova, circuit_open"


def test_a_signal_is_given_with_what_comes_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "payload.json"
    document.write_text('{"approved": true}')
    for arguments, payload in (
        ((), None),
        (("--payload", '"yes"'), "yes"),
        (("--payload", f"@{document}"), {"approved": True}),
    ):
        api = FakeApi(httpx.Response(202, json=queued("tsk_1")))
        assert typed(api, "signal", "tsk_1", "decision", *arguments) == 0
        assert api.calls == ["POST /v1/tasks/tsk_1/signal"]
        assert json.loads(api.requests[0].content) == {"name": "decision", "payload": payload}
        assert "queued" in capsys.readouterr().out


def test_a_signal_that_nobody_waits_for_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(FakeApi(problem(409, "not-waiting")), "signal", "tsk_1", "decision") == 1
    assert "409 not-waiting" in capsys.readouterr().err
    assert typed(FakeApi(), "signal", "tsk_1", "decision", "--payload", "{") == 2
    assert "--payload holds no JSON" in capsys.readouterr().err


def test_a_waiting_task_shows_what_it_waits_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    waiting = {"for": "decision", "since": "2026-11-21T09:00:00.100Z", "until": None, "detail": {"amount": 3}}
    task = queued("tsk_1") | {"status": "waiting", "waiting": waiting}
    assert typed(FakeApi(httpx.Response(200, json=task)), "get", "tsk_1") == 0
    shown = capsys.readouterr().out
    assert "for decision since 2026-11-21T09:00:00.100Z" in shown and '{"amount": 3}' in shown
    assert typed(FakeApi(page([task])), "list") == 0
    assert "waits for decision" in capsys.readouterr().out
