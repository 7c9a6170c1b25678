"""`/v1/decisions/{token}`: a person decides by a link, once, and nobody else does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from flotilla.broadcast import Endpoint
from flotilla.events import Kind
from flotilla.primitives.decision_token import DecisionClaims, token_of
from tests.gateway_events import Answer
from tests.unit.api.api import DECISIONS_KEY, Api

ENDPOINT = Endpoint("whk_" + "1" * 24, "acme", "https://hooks.example/in", (), None, (), 1)
HOUR_SECONDS = 3600
FORM = {"content-type": "application/x-www-form-urlencoded", "host": "api.example"}


@pytest.fixture
def api() -> Api:
    api = Api()
    asyncio.run(api.endpoints.add(ENDPOINT))
    return api


def asked(api: Api, name: str = "decision", **body: Any) -> tuple[str, str]:
    """A waiting task, and the path of a link to decide it by."""
    task_id = str(api.submit().json()["id"])
    seq = api.wait(task_id, name, **body)
    return task_id, link(api, task_id, seq)


def link(api: Api, task_id: str, seq: int, *, endpoint: str = ENDPOINT.id, seconds: int = HOUR_SECONDS) -> str:
    claims = DecisionClaims(task_id, seq, api.clock.now_ms() // 1000 + seconds, endpoint)
    return f"/v1/decisions/{token_of(claims, DECISIONS_KEY.encode())}"


def look(api: Api, path: str, **options: Any) -> Answer:
    return api.call("GET", path, authorizer=None, **options)


def decide(api: Api, path: str, what: str = "approve", **headers: str) -> Answer:
    sent = FORM | {name.replace("_", "-"): value for name, value in headers.items()}
    return api.call("POST", path, f"decision={what}", headers=sent, authorizer=None)


def kinds(api: Api, task_id: str) -> list[str]:
    return [event.kind.value for event in api.events(task_id)]


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        self.tags: list[str] = []
        self.buttons: list[dict[str, str | None]] = []
        self.forms: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(answer.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "button":
            self.buttons.append(dict(attrs))
        if tag == "form":
            self.forms.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_link_shows_what_is_asked_and_decides_nothing(api: Api) -> None:
    task_id, path = asked(api, detail={"pay": "3 €", "to": "Ärzte"})
    for method in ("GET", "HEAD", "GET"):
        answer = api.call(method, path, authorizer=None)
        assert answer.status == 200
    page = Page(answer)
    for shown in ("A decision is asked for", task_id, "echo", "acme", "key:k1", "3 €", "Ärzte", "2023-11-14T23:13:20"):
        assert shown in page.text
    assert page.buttons == [{"name": "decision", "value": "approve"}, {"name": "decision", "value": "deny"}]
    assert page.forms == [{"method": "post"}]
    assert kinds(api, task_id)[-1] == "waiting"


@pytest.mark.parametrize(("what", "title"), [("approve", "Approved"), ("deny", "Denied")])
def test_a_button_decides_and_the_log_says_who(api: Api, what: str, title: str) -> None:
    task_id, path = asked(api)
    answer = decide(api, path, what)
    assert (answer.status, Page(answer).buttons) == (200, [])
    assert f"{title}, recorded at 2023-11-14T22:13:20.000Z." in Page(answer).text
    last = api.events(task_id)[-1]
    assert (last.kind, last.actor) == (Kind.SIGNALLED, f"link:{ENDPOINT.id}")
    assert (last.body["name"], last.body["payload"]) == ("decision", {"decision": what, "via": "link"})
    assert [message.seq for message in api.messages(task_id)] == [0, 3]


def test_a_double_click_decides_once_and_says_so_twice(api: Api) -> None:
    task_id, path = asked(api)
    first, second = decide(api, path), decide(api, path)
    assert (first.status, first.text) == (second.status, second.text) == (200, first.text)
    assert kinds(api, task_id).count("signalled") == 1
    assert "Already decided" in Page(look(api, path)).text


def test_who_decides_otherwise_afterwards_is_told_how_it_was_decided(api: Api) -> None:
    task_id, path = asked(api)
    decide(api, path, "deny")
    late = decide(api, path, "approve")
    assert late.status == 409
    assert "Already decided: Denied, recorded at" in Page(late).text
    assert kinds(api, task_id).count("signalled") == 1


def test_what_was_decided_without_the_link_is_told_too(api: Api) -> None:
    task_id, path = asked(api)
    api.call("POST", f"/v1/tasks/{task_id}/signal", {"name": "decision", "payload": {"anything": 1}})
    assert "Answered otherwise than by yes or no" in Page(look(api, path)).text
    assert decide(api, path).status == 409


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (Kind.CANCELLED, {}, "The task was cancelled at"),
        (Kind.RESUMED, {"for": "decision", "timed_out": True}, "The time to decide was over at"),
        (Kind.EXPIRED, {}, "The time to decide was over at"),
    ],
)
def test_a_wait_that_ended_otherwise_cannot_be_decided(api: Api, kind: Kind, body: dict[str, Any], said: str) -> None:
    task_id, path = asked(api)
    api.append(task_id, kind, body)
    assert said in Page(look(api, path)).text
    late = decide(api, path)
    assert (late.status, Page(late).buttons) == (409, [])
    assert said in Page(late).text
    assert kinds(api, task_id)[-1] == kind.value


def test_a_link_is_for_its_own_wait_and_for_no_later_one(api: Api) -> None:
    task_id, path = asked(api)
    decide(api, path, "approve")
    api.wait(task_id, "decision#2")
    assert decide(api, path, "deny").status == 409
    assert kinds(api, task_id)[-1] == "waiting"
    assert decide(api, link(api, task_id, 5), "deny").status == 200


def test_every_link_that_stands_for_nothing_looks_the_same(api: Api) -> None:
    task_id, path = asked(api)
    other_id, _ = asked(api, "other")
    wrong = [
        link(api, task_id, 2, seconds=0),
        link(api, task_id, 1),
        link(api, task_id, 7),
        link(api, other_id, 2),
        link(api, "tsk_" + "0" * 32, 2),
        link(api, task_id, 2, endpoint="whk_" + "2" * 24),
        path[:-1],
        "/v1/decisions/x",
        "/v1/decisions/" + "x" * 256,
    ]
    answers = [(look(api, each), decide(api, each)) for each in wrong]
    assert {(answer.status, answer.text) for pair in answers for answer in pair} == {(404, answers[0][0].text)}
    assert len({tuple(sorted(answer.headers.items())) for pair in answers for answer in pair}) == 1
    assert kinds(api, task_id)[-1] == "waiting"


def test_an_endpoint_that_is_removed_takes_its_links_with_it(api: Api) -> None:
    task_id, path = asked(api)
    asyncio.run(api.endpoints.remove("acme", ENDPOINT.id))
    assert (look(api, path).status, decide(api, path).status) == (404, 404)
    assert kinds(api, task_id)[-1] == "waiting"


def test_a_link_has_expired_when_the_wait_is_over(api: Api) -> None:
    task_id, path = asked(api)
    api.clock.advance(HOUR_SECONDS)
    assert (look(api, path).status, decide(api, path).status) == (404, 404)
    assert kinds(api, task_id)[-1] == "waiting"


def test_what_agents_and_clients_wrote_is_text(api: Api) -> None:
    evil = '</pre><script>alert(1)</script><img src=x onerror="alert(1)">&amp;\'"'
    for detail in (evil, {"k": evil, evil: [evil]}):
        _, path = asked(api, detail=detail)
        answer = look(api, path)
        page = Page(answer)
        assert set(page.tags) <= {
            *("html", "head", "meta", "title", "style", "body", "h1", "dl", "dt", "dd", "pre", "form", "button")
        }
        assert "onerror" in page.text
        assert page.tags.count("button") == 2


def test_the_page_can_do_nothing_but_send_its_form_back(api: Api) -> None:
    _, path = asked(api, detail="x")
    answers = [look(api, path), decide(api, path), look(api, "/v1/decisions/x")]
    for answer in answers:
        policy = dict(
            (part.strip() + " ").split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
        )
        style = re.search(r"<style>(.*)</style>", answer.text, re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        assert {name: value.strip() for name, value in policy.items()} == {
            "default-src": "'none'",
            "style-src": f"'sha256-{digest}'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
            "base-uri": "'none'",
        }
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert " style=" not in answer.text and "http" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "https://api.example.evil.example"},
        {"origin": "api.example"},
        {"origin": "http://[", "sec_fetch_site": "none"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_another_sites_page_decides_nothing(api: Api, headers: dict[str, str]) -> None:
    task_id, path = asked(api)
    assert decide(api, path, **headers).status == 403
    assert kinds(api, task_id)[-1] == "waiting"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://api.example", "sec_fetch_site": "same-origin"},
        {"origin": "https://API.example"},
        {"sec_fetch_site": "none"},
    ],
)
def test_its_own_page_and_programs_do(api: Api, headers: dict[str, str]) -> None:
    _, path = asked(api)
    assert decide(api, path, **headers).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 422),
        ("decision=", 422),
        ("decision=maybe", 422),
        ("decision=approve&decision=deny", 422),
        ("x=approve", 422),
        ("&".join(f"a{number}=1" for number in range(20)), 400),
        (b"decision=\xff\xfe", 400),
        ("decision=approve&x=" + "y" * 1024, 413),
        ("x" * 5_000_000, 413),
    ],
)
def test_a_form_that_is_none_of_ours_decides_nothing(api: Api, body: Any, status: int) -> None:
    task_id, path = asked(api)
    answer = api.call("POST", path, body, headers=FORM, authorizer=None)
    assert (answer.status, Page(answer).tags.count("h1")) == (status, 1)
    assert kinds(api, task_id)[-1] == "waiting"


def test_a_form_in_base64_is_read_as_well(api: Api) -> None:
    _, path = asked(api)
    assert api.call("POST", path, b"decision=approve", headers=FORM, authorizer=None).status == 200


def test_a_decision_is_sent_as_a_form(api: Api) -> None:
    _, path = asked(api)
    assert api.call("POST", path, {"decision": "approve"}, authorizer=None).status == 415


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_do_nothing(api: Api, method: str) -> None:
    _, path = asked(api)
    api.call(method, path, authorizer=None).problem(405, "method-not-allowed")


def test_while_the_key_cannot_be_read_nothing_is_lost(api: Api) -> None:
    task_id, path = asked(api)
    api.secrets.down = True
    for answer in (look(api, path), decide(api, path)):
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    api.secrets.down = False
    api.secrets.texts = {}
    assert look(api, path).status == 503
    api.secrets.texts = {"decisions": DECISIONS_KEY}
    assert decide(api, path).status == 200
    assert kinds(api, task_id)[-1] == "signalled"
