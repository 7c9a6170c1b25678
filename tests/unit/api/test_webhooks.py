"""`/v1/webhooks` for clients: registered, shown without its secret, rotated, removed; each tenant its own."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from flotilla.agents.catalog import Catalog
from flotilla.broadcast import EndpointState
from flotilla.services.destinations import Destinations
from flotilla.services.endpoints import MAX_ENDPOINTS, EndpointService
from functions.api.application import Application
from functions.api.gateway import Request
from functions.api.routing import Route, Router
from functions.api.webhooks import WebhookRoutes
from tests.agent_specs import agent_spec
from tests.fakes import ManualClock
from tests.fakes.broadcast import MemoryEndpoints, MemoryResolver
from tests.gateway_events import Answer, http_event, identity

URL = "https://hooks.example/in"
PATH = "/v1/webhooks"
MEMBERS = {"id", "url", "events", "agents", "state", "created_at"}


class Api:
    """The routes over endpoints in memory."""

    def __init__(self, address: str = "93.184.216.34") -> None:
        self.clock = ManualClock()
        self.endpoints = MemoryEndpoints()
        numbers = itertools.count(1)
        service = EndpointService(
            self.endpoints,
            Destinations(MemoryResolver([address]), ("127.0.0.1",)),
            self.clock,
            lambda length: bytes([next(numbers)]) * length,
        )
        catalog = Catalog({name: agent_spec(name) for name in ("a.b", "c")})
        routes = WebhookRoutes(service, catalog)
        router = Router(
            [
                Route("POST", PATH, "operate", routes.register),
                Route("GET", PATH, "operate", routes.list),
                Route("GET", PATH + "/{webhook_id}", "operate", routes.get),
                Route("DELETE", PATH + "/{webhook_id}", "operate", routes.remove),
            ]
        )
        self.application = Application(lambda: router, self.clock)

    def call(self, method: str, path: str, body: Any = None, tenant: str = "acme") -> Answer:
        path, _, query = path.partition("?")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        event = http_event(method, path, body, query=asked, authorizer=identity(tenant))
        request = Request.from_event(event, ends_ms=self.clock.now_ms() + 28_000)
        response = asyncio.run(self.application.answer(request))
        return Answer.of(response.to_gateway())

    def register(self, tenant: str = "acme", **body: Any) -> Any:
        answer = self.call("POST", PATH, {"url": URL, **body}, tenant)
        assert answer.status == 201, answer.text
        return answer.json()


@pytest.fixture
def api() -> Api:
    return Api()


def test_an_endpoint_is_registered_with_a_secret_of_its_own(api: Api) -> None:
    answer = api.call("POST", PATH, {"url": URL})
    assert answer.status == 201
    made = answer.json()
    assert made.keys() == MEMBERS | {"secret"}
    assert made["secret"].startswith("whsec_")
    assert made["events"] == ["succeeded", "dead_lettered", "cancelled", "expired"]
    assert (made["agents"], made["state"]) == (None, "active")
    assert made["created_at"] == "2023-11-14T22:13:20.000Z"
    assert answer.headers["location"] == f"{PATH}/{made['id']}"


def test_a_secret_is_shown_once(api: Api) -> None:
    made = api.register()
    listed = api.call("GET", PATH).json()
    assert listed == {"items": [{name: made[name] for name in MEMBERS}], "next_cursor": None}
    assert api.call("GET", f"{PATH}/{made['id']}").json() == listed["items"][0]
    assert "whsec" not in api.call("GET", PATH).text


def test_registering_again_makes_a_new_secret_for_the_same_endpoint(api: Api) -> None:
    first = api.register(events=["running"], agents=["a.b"])
    second = api.register()
    assert second["secret"] != first["secret"]
    assert {**second, "secret": None} == {**first, "secret": None}
    assert api.register(agents=None, events=[]) | {"secret": None} == {
        **first,
        "events": [],
        "agents": None,
        "secret": None,
    }


def test_registering_again_enables_what_was_disabled(api: Api) -> None:
    made = api.register()
    key = ("acme", made["id"])
    api.endpoints.endpoints[key] = replace(api.endpoints.endpoints[key], state=EndpointState.DISABLED)
    assert api.call("GET", f"{PATH}/{made['id']}").json()["state"] == "disabled"
    assert api.register()["state"] == "active"


def test_an_endpoint_that_is_removed_is_gone(api: Api) -> None:
    made = api.register()
    answer = api.call("DELETE", f"{PATH}/{made['id']}")
    assert (answer.status, answer.text) == (204, "")
    assert api.call("GET", PATH).json()["items"] == []
    for method in ("GET", "DELETE"):
        api.call(method, f"{PATH}/{made['id']}").problem(404, "not-found")


def test_a_tenant_knows_nothing_of_anothers_endpoints(api: Api) -> None:
    made = api.register()
    assert api.call("GET", PATH, tenant="evil").json()["items"] == []
    for method in ("GET", "DELETE"):
        api.call(method, f"{PATH}/{made['id']}", tenant="evil").problem(404, "not-found")
    assert api.register(tenant="evil")["id"] != made["id"]
    assert len(api.call("GET", PATH).json()["items"]) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "https://user:pw@hooks.example/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "https://hooks.example:25/",
        "hooks.example",
    ],
)
def test_a_url_that_a_webhook_may_not_have_is_refused_with_the_reason(api: Api, url: str) -> None:
    problem = api.call("POST", PATH, {"url": url}).problem(422, "invalid-input")
    (error,) = problem["errors"]
    assert error["path"] == "/url"
    assert error["message"]
    assert api.endpoints.endpoints == {}


def test_a_name_that_leads_inside_is_refused_without_telling_where() -> None:
    answer = Api("10.1.2.3").call("POST", PATH, {"url": URL})
    answer.problem(422, "invalid-input")
    assert "not public" in answer.text
    assert "10.1.2.3" not in answer.text


def test_a_host_that_is_allowed_may_be_private_and_plain(api: Api) -> None:
    assert api.call("POST", PATH, {"url": "http://127.0.0.1:9000/in"}).status == 201


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/url"),
        ({"url": ""}, "/url"),
        ({"url": 7}, "/url"),
        ({"url": "https://hooks.example/" + "x" * 2048}, "/url"),
        ({"url": URL, "secret": "whsec_mine"}, "/secret"),
        ({"url": URL, "events": ["finished"]}, "/events/0"),
        ({"url": URL, "events": "succeeded"}, "/events"),
        ({"url": URL, "agents": []}, "/agents"),
        ({"url": URL, "agents": ["a.b", "nobody"]}, "/agents/1"),
        ({"url": URL, "agents": [7]}, "/agents/0"),
    ],
)
def test_what_is_wrong_is_named(api: Api, body: dict[str, Any], path: str) -> None:
    problem = api.call("POST", PATH, body).problem(422, "invalid-input")
    assert [error["path"] for error in problem["errors"]] == [path]


def test_a_status_that_is_named_twice_is_told_once(api: Api) -> None:
    assert api.register(events=["parked", "running", "parked"])["events"] == ["parked", "running"]


def test_a_tenant_with_as_many_as_may_be_is_told_so(api: Api) -> None:
    for number in range(MAX_ENDPOINTS):
        api.register(url=f"{URL}/{number}")
    api.call("POST", PATH, {"url": URL}).problem(422, "invalid-input")


@pytest.mark.parametrize("name", ["whk_", "whk_1", "x", "tsk_" + "0" * 32, "whk_" + "A" * 24])
def test_what_is_no_id_is_not_even_looked_up(api: Api, name: str) -> None:
    for method in ("GET", "DELETE"):
        api.call(method, f"{PATH}/{name}").problem(404, "not-found")
    assert api.endpoints.calls == []


def test_a_store_that_is_down_is_unavailable(api: Api) -> None:
    api.endpoints.down = True
    api.call("POST", PATH, {"url": URL}).problem(503, "unavailable")
    api.call("GET", PATH).problem(503, "unavailable")


def test_an_operator_registers_shows_and_removes_endpoints_of_a_tenant_by_its_name(api: Api) -> None:
    made = api.register(tenant="operator") | {"secret": None}
    answer = api.call("POST", PATH, {"url": URL, "tenant": "acme"}, tenant="operator")
    theirs = answer.json()
    assert answer.status == 201
    assert theirs["id"] != made["id"]
    assert api.endpoints.endpoints["acme", theirs["id"]].url == URL
    assert [item["id"] for item in api.call("GET", PATH, tenant="operator").json()["items"]] == [made["id"]]
    listed = api.call("GET", PATH + "?tenant=acme", tenant="operator").json()
    assert [item["id"] for item in listed["items"]] == [theirs["id"]]
    one = f"{PATH}/{theirs['id']}"
    assert api.call("GET", one, tenant="operator").status == 404
    assert api.call("GET", one + "?tenant=acme", tenant="operator").json()["id"] == theirs["id"]
    assert api.call("DELETE", one + "?tenant=acme", tenant="operator").status == 204
    assert not [key for key in api.endpoints.endpoints if key[0] == "acme"]


@pytest.mark.parametrize("query", ["?tenant=", "?tenant=" + "x" * 65, "?tenants=acme"])
def test_a_query_that_says_nothing_is_refused(api: Api, query: str) -> None:
    assert api.call("GET", PATH + query).status == 422
