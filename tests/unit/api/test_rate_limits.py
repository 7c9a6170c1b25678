"""Limits on submits: by API key, by tenant, by agent; what they cost, what they tell, and that nothing slips by."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.agents.catalog import Catalog
from flotilla.errors import StoreUnavailableError
from flotilla.limit_ports import Drawn
from flotilla.primitives.circuit import CircuitMode, CircuitRecord
from flotilla.primitives.token_bucket import Draw, Limit
from flotilla.services.limit_board import TTL_MS
from tests.fakes.limits import MemoryBuckets, MemoryLimitSettings
from tests.gateway_events import Answer, identity
from tests.unit.api.api import ANYTHING, Api, agent

ECHO = {"agent": "echo", "input": {"value": 1}}
SLEEP = {"agent": "sleep", "input": {"seconds": 0}}


def limited(**limits: Limit) -> Api:
    """An API with declared limits; `agent_echo` stands for `agent#echo`."""
    return Api(limits_declared={name.replace("_", "#"): limit for name, limit in limits.items()})


def submit(api: Api, body: dict[str, Any] | None = None, *, key_id: str = "k1", tenant: str = "acme") -> Answer:
    return api.call("POST", "/v1/tasks", body or ECHO, authorizer=identity(tenant, key_id=key_id))


def batch(api: Api, *tasks: dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
    answer = api.call("POST", "/v1/task-batches", {"tasks": list(tasks)}, headers=headers)
    assert answer.status == 200, answer.text
    return answer


def statuses(answer: Answer) -> list[int]:
    return [result["status"] for result in answer.json()["results"]]


def told(answer: Answer) -> tuple[str | None, str | None]:
    return answer.headers.get("ratelimit-policy"), answer.headers.get("ratelimit")


# Nothing is limited.


def test_without_limits_a_submit_writes_nothing_more_says_nothing_and_looks_now_and_then() -> None:
    api = Api()
    for _ in range(20):
        answer = submit(api)
        assert answer.status == 202
        assert told(answer) == (None, None)
    batch(api, ECHO, SLEEP)
    assert (api.buckets.reads, api.buckets.writes, api.limits_set.reads) == (0, 0, 1)
    api.clock.advance(TTL_MS / 1000)
    submit(api)
    assert (api.buckets.writes, api.limits_set.reads) == (0, 2)


def test_limits_of_others_cost_nothing() -> None:
    api = limited(agent_sleep=Limit(60, 1))
    api.limits_set.limits["client#k2"] = Limit(60, 1)
    assert submit(api).status == 202
    assert api.buckets.writes == 0


# One task.


def test_an_admitted_task_is_one_write_for_each_limit_and_told_what_is_left() -> None:
    api = limited(client=Limit(600, 20), tenant=Limit(6000, 100))
    answer = submit(api)
    assert answer.status == 202
    assert told(answer) == ('"client";q=600;w=60, "tenant";q=6000;w=60', '"client";r=19;t=1, "tenant";r=99;t=1')
    assert "retry-after" not in answer.headers
    assert api.buckets.writes == 2
    assert sorted(api.buckets.buckets) == ["client#k1", "tenant#acme"]


def test_who_has_used_up_its_limit_is_refused_with_when_to_come_again_and_nothing_is_accepted() -> None:
    api = limited(client=Limit(6, 2))
    assert [submit(api).status for _ in range(2)] == [202, 202]
    accepted = dict(api.memory.logs)
    answer = submit(api)
    problem = answer.problem(429, "rate-limited")
    assert problem["retryable"] is True
    assert answer.headers["retry-after"] == "10"
    assert told(answer) == ('"client";q=6;w=60', '"client";r=0;t=10')
    assert api.memory.logs == accepted
    api.clock.advance(10)
    assert submit(api).status == 202


def test_a_refusal_that_is_known_costs_nothing() -> None:
    api = limited(client=Limit(6, 1))
    submit(api)
    writes = api.buckets.writes
    for _ in range(10):
        assert submit(api).status == 429
    assert api.buckets.writes == writes


def test_each_key_has_a_limit_of_its_own_and_a_tenant_has_one_for_all_its_keys() -> None:
    api = limited(client=Limit(6, 1), tenant=Limit(6, 2))
    assert [submit(api, key_id=key).status for key in ("k1", "k1", "k2", "k3")] == [202, 429, 202, 429]
    assert submit(api, key_id="k3", tenant="other").status == 202


def test_an_agents_limit_is_for_all_clients_and_told_only_to_who_meets_it() -> None:
    api = limited(agent_echo=Limit(6, 1), client=Limit(60, 10))
    assert told(submit(api)) == ('"client";q=60;w=60', '"client";r=9;t=1')
    answer = submit(api, key_id="k2", tenant="other")
    answer.problem(429, "rate-limited")
    assert told(answer) == ('"client";q=60;w=60, "agent";q=6;w=60', '"client";r=10;t=0, "agent";r=0;t=10')
    assert submit(api, SLEEP).status == 202


def test_what_one_limit_refuses_takes_nothing_of_the_others() -> None:
    api = limited(agent_echo=Limit(6, 1), client=Limit(6, 3))
    for _ in range(5):
        submit(api)
    assert statuses_of(api, SLEEP, 3) == [202, 202, 429]


def statuses_of(api: Api, body: dict[str, Any], times: int) -> list[int]:
    return [submit(api, body).status for _ in range(times)]


def test_a_request_that_is_wrong_takes_nothing() -> None:
    api = limited(client=Limit(6, 1))
    assert submit(api, {"agent": "nobody", "input": {}}).status == 404
    assert submit(api, {"agent": "sleep", "input": {}}).status == 422
    assert submit(api).status == 202


def test_a_task_that_was_there_already_takes_nothing() -> None:
    api = limited(client=Limit(6, 2))
    assert api.submit(idempotency_key="a").status == 202
    for _ in range(3):
        again = api.submit(idempotency_key="a")
        assert again.headers["idempotent-replay"] == "true"
        assert told(again)[1] == '"client";r=1;t=10'
    assert api.submit({"agent": "echo", "input": 2}, idempotency_key="a").status == 422
    assert [submit(api).status for _ in range(2)] == [202, 429]


def test_a_task_that_is_refused_since_its_agent_is_down_takes_nothing() -> None:
    rather_not = agent("rather-not", ANYTHING, on_open="reject")
    api = Api(catalog=Catalog({"rather-not": rather_not}), limits_declared={"client": Limit(6, 1)})
    api.circuits.records["integration#bedrock"] = CircuitRecord(version=1, mode=CircuitMode.OPEN)
    body = {"agent": "rather-not", "input": 1}
    assert [submit(api, body).status for _ in range(3)] == [503] * 3
    assert statuses(batch(api, body, body)) == [503, 429]
    api.circuits.records.clear()
    api.clock.advance(2)
    assert submit(api, body).status == 202


# Set at run time.


def test_a_limit_set_at_run_time_holds_within_seconds_and_so_does_its_removal() -> None:
    api = limited(client=Limit(6000, 100))
    assert submit(api).status == 202
    api.limits_set.limits["client"] = Limit(6, 1)
    api.clock.advance(TTL_MS / 1000)
    assert [submit(api).status for _ in range(2)] == [202, 429]
    del api.limits_set.limits["client"]
    api.clock.advance(TTL_MS / 1000)
    refused = submit(api)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    api.clock.advance(1)
    assert statuses_of(api, ECHO, 50) == [202] * 50


@pytest.mark.parametrize("name", ["client", "client#k1", "tenant", "tenant#acme", "agent#echo"])
def test_a_limit_that_is_not_declared_can_be_set(name: str) -> None:
    api = Api()
    api.limits_set.limits[name] = Limit(6, 1)
    assert [submit(api).status for _ in range(2)] == [202, 429]


def test_what_is_set_for_one_key_counts_for_it_and_for_no_other() -> None:
    api = limited(client=Limit(6, 1))
    api.limits_set.limits["client#k2"] = Limit(6, 3)
    assert [submit(api).status for _ in range(2)] == [202, 429]
    assert [submit(api, key_id="k2").status for _ in range(4)] == [202, 202, 202, 429]


# Batches.


def test_a_batch_takes_what_it_needs_at_once() -> None:
    api = limited(client=Limit(60, 10), agent_echo=Limit(60, 10))
    answer = batch(api, ECHO, SLEEP, {"agent": "nobody", "input": 1}, ECHO)
    assert statuses(answer) == [202, 202, 404, 202]
    assert api.buckets.writes == 2
    assert told(answer) == ('"client";q=60;w=60', '"client";r=7;t=3')


def test_of_a_batch_that_is_too_much_the_first_items_are_accepted_and_the_others_told_when_to_come_again() -> None:
    api = limited(client=Limit(6, 3))
    answer = batch(api, *([ECHO] * 5))
    assert statuses(answer) == [202, 202, 202, 429, 429]
    refused = answer.json()["results"][3]
    assert refused["problem"]["type"] == "/problems/rate-limited"
    assert refused["problem"]["retryable"] is True
    assert refused["retry_after_seconds"] == 10
    assert told(answer) == ('"client";q=6;w=60', '"client";r=0;t=10')
    assert len(api.memory.logs) == 3


def test_items_of_a_batch_that_other_limits_allow_are_accepted() -> None:
    api = limited(agent_echo=Limit(6, 1), client=Limit(60, 10))
    assert statuses(batch(api, ECHO, ECHO, SLEEP, ECHO, SLEEP)) == [202, 429, 202, 429, 202]
    assert told(submit(api, SLEEP)) == ('"client";q=60;w=60', '"client";r=6;t=4')


def test_what_this_process_does_not_know_yet_refuses_no_more_than_it_must() -> None:
    """Another process has drawn most of it."""
    buckets, settings = MemoryBuckets(), MemoryLimitSettings()
    one, other = (Api(buckets=buckets, limits_set=settings, limits_declared={"client": Limit(6, 10)}) for _ in range(2))
    assert statuses(batch(one, *([ECHO] * 7))) == [202] * 7
    assert statuses(batch(other, *([ECHO] * 5))) == [202, 202, 202, 429, 429]


def test_a_batch_that_is_repeated_takes_nothing() -> None:
    api = limited(client=Limit(6, 4))
    for _ in range(3):
        answer = batch(api, ECHO, ECHO, headers={"idempotency-key": "b"})
        assert statuses(answer) == [202, 202]
        assert told(answer)[1] == '"client";r=2;t=20'


# The store is down.


class Down(MemoryBuckets):
    async def look(self, name: str) -> Drawn:
        raise StoreUnavailableError("down", code="down")

    async def draw(self, name: str, draw: Draw, expires_at: int) -> Drawn:
        raise StoreUnavailableError("down", code="down")


class SettingsDown(MemoryLimitSettings):
    async def read(self) -> dict[str, Limit]:
        raise StoreUnavailableError("down", code="down")


def test_while_buckets_do_not_answer_tasks_are_accepted_as_far_as_one_process_may_by_itself() -> None:
    api = Api(buckets=Down(), limits_declared={"client": Limit(6, 3)})
    assert [submit(api).status for _ in range(4)] == [202, 202, 202, 429]
    assert statuses(batch(Api(buckets=Down(), limits_declared={"client": Limit(6, 3)}), ECHO, ECHO)) == [202, 202]


def test_while_limits_set_at_run_time_cannot_be_read_those_declared_hold() -> None:
    api = Api(limits_set=SettingsDown(), limits_declared={"client": Limit(6, 1)})
    assert [submit(api).status for _ in range(2)] == [202, 429]
    assert submit(Api(limits_set=SettingsDown())).status == 202
