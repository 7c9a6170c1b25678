"""Limits over HTTP: what holds, what is left, and what operators set."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.errors import StoreUnavailableError
from flotilla.limit_ports import Drawn
from flotilla.primitives.token_bucket import Limit
from tests.fakes.limits import MemoryBuckets, MemoryLimitSettings
from tests.gateway_events import identity
from tests.unit.api.api import Api
from tests.unit.api.protecting import ProtectingApi

WANTED = {"rate_per_minute": 30, "burst": 3}


@pytest.fixture
def api() -> ProtectingApi:
    return ProtectingApi()


def test_declared_limits_are_listed_with_what_is_left_of_those_with_one_bucket(api: ProtectingApi) -> None:
    limits = api.listed("/v1/limits")
    assert set(limits) == {"agent#echo", "client", "integration#crm", "integration#crm.tenant"}
    assert limits["integration#crm"] == {
        "name": "integration#crm",
        "rate_per_minute": 600,
        "burst": 60,
        "source": "declared",
        "declared": {"rate_per_minute": 600, "burst": 60},
        "per": None,
        "remaining": 60,
    }
    assert (limits["client"]["per"], limits["client"]["remaining"]) == ("client", None)
    assert (limits["integration#crm.tenant"]["per"], limits["integration#crm.tenant"]["remaining"]) == ("tenant", None)
    assert api.buckets.writes == 0


def test_what_was_drawn_is_no_longer_left(api: ProtectingApi) -> None:
    submitting = Api(clock=api.clock, buckets=api.buckets, limits_declared={"agent#echo": Limit(60, 10)})
    for _ in range(3):
        assert submitting.submit().status == 202
    assert api.listed("/v1/limits")["agent#echo"]["remaining"] == 7
    api.clock.advance(2)
    assert api.listed("/v1/limits")["agent#echo"]["remaining"] == 9


def test_a_limit_is_set_shown_and_removed(api: ProtectingApi) -> None:
    answer = api.call("PUT", "/v1/limits/integration%23crm", WANTED)
    assert answer.status == 200
    assert answer.json() == {
        "name": "integration#crm",
        **WANTED,
        "source": "set",
        "declared": {"rate_per_minute": 600, "burst": 60},
        "per": None,
        "remaining": 3,
    }
    assert api.listed("/v1/limits")["integration#crm"] == answer.json()
    assert api.settings.limits == {"integration#crm": Limit(30, 3)}
    for _ in range(2):
        assert api.call("DELETE", "/v1/limits/integration%23crm").status == 204
    assert api.listed("/v1/limits")["integration#crm"]["source"] == "declared"


@pytest.mark.parametrize(
    ("name", "whole", "per"),
    [
        ("tenant", "tenant", "tenant"),
        ("client%23k1", "client#k1", None),
        ("tenant%23acme.tenant", "tenant#acme.tenant", None),
        ("agent%23sleep", "agent#sleep", None),
        ("crm", "integration#crm", None),
        ("erp", "integration#erp", None),
        ("integration%23erp.agent", "integration#erp.agent", "agent"),
        ("integration%23erp.agent%23echo", "integration#erp.agent#echo", None),
        ("integration#crm.tenant#a#b", "integration#crm.tenant#a#b", None),
        ("crm.tenant", "integration#crm.tenant", "tenant"),
        ("model%23haiku.requests", "model#haiku.requests", None),
    ],
)
def test_whatever_is_asked_for_can_be_limited_also_where_nothing_is_declared(
    api: ProtectingApi, name: str, whole: str, per: str | None
) -> None:
    answer = api.call("PUT", f"/v1/limits/{name}", WANTED)
    assert answer.status == 200, answer.text
    assert (answer.json()["name"], answer.json()["per"], answer.json()["source"]) == (whole, per, "set")
    assert api.settings.limits == {whole: Limit(30, 3)}
    assert api.listed("/v1/limits")[whole] == answer.json()


def test_one_of_a_kind_shows_what_is_declared_for_its_kind(api: ProtectingApi) -> None:
    answer = api.call("PUT", "/v1/limits/client%23k1", WANTED).json()
    assert answer["declared"] == {"rate_per_minute": 600, "burst": 100}
    assert api.call("PUT", "/v1/limits/tenant", WANTED).json()["declared"] is None


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "agent%23nobody",
        "integration%23nothing",
        "client%23",
        "model%23haiku",
        "erp.requests",
        "agent",
        "%23",
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_what_nobody_ever_asks_for_is_not_found(api: ProtectingApi, method: str, name: str) -> None:
    api.call(method, f"/v1/limits/{name}", WANTED).problem(404, "not-found")
    assert api.settings.limits == {}


def test_a_limit_of_what_is_no_longer_deployed_can_be_removed(api: ProtectingApi) -> None:
    api.settings.limits["integration#gone"] = Limit(1, 1)
    assert "integration#gone" in api.listed("/v1/limits")
    assert api.call("DELETE", "/v1/limits/gone").status == 204
    assert api.settings.limits == {}


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["/rate_per_minute", "/burst"]),
        ({"rate_per_minute": 0, "burst": 1}, ["/rate_per_minute"]),
        ({"rate_per_minute": 1.5, "burst": 1}, ["/rate_per_minute"]),
        ({"rate_per_minute": 1, "burst": 10_000_001}, ["/burst"]),
        ({"rate_per_minute": 1, "burst": 1, "per": "tenant"}, ["/per"]),
        (None, [""]),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_request_is_named_and_nothing_is_set(
    api: ProtectingApi, body: Any, paths: list[str]
) -> None:
    problem = api.call("PUT", "/v1/limits/client", "null" if body is None else body).problem(422, "invalid-input")
    assert [error["path"] for error in problem["errors"]] == paths
    assert api.settings.limits == {}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/limits"), ("PUT", "/v1/limits/client"), ("DELETE", "/v1/limits/client")]
)
def test_limits_are_for_operators(api: ProtectingApi, method: str, path: str) -> None:
    keyed = identity(scopes="tasks:read tasks:write")
    api.call(method, path, WANTED, authorizer=keyed).problem(403, "missing-scope")
    assert api.settings.limits == {}


def test_other_methods_are_refused(api: ProtectingApi) -> None:
    answer = api.call("POST", "/v1/limits/client", WANTED)
    answer.problem(405, "method-not-allowed")
    assert answer.headers["allow"] == "DELETE, PUT"


def test_what_is_set_over_http_holds_for_submits() -> None:
    settings = MemoryLimitSettings()
    operating = ProtectingApi(settings=settings)
    submitting = Api(limits_set=settings)
    operating.call("PUT", "/v1/limits/agent%23echo", {"rate_per_minute": 1, "burst": 1})
    assert [submitting.submit().status for _ in range(2)] == [202, 429]


def test_buckets_that_do_not_answer_are_left_out_and_settings_that_do_not_are_told() -> None:
    class NoBuckets(MemoryBuckets):
        async def look(self, name: str) -> Drawn:
            raise StoreUnavailableError("down", code="down")

    class NoSettings(MemoryLimitSettings):
        async def read(self) -> dict[str, Limit]:
            raise StoreUnavailableError("down", code="down")

    assert ProtectingApi(buckets=NoBuckets()).listed("/v1/limits")["integration#crm"]["remaining"] is None
    ProtectingApi(settings=NoSettings()).call("GET", "/v1/limits").problem(503, "unavailable")
