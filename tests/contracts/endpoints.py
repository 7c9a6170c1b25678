"""The contract of `Endpoints`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from flotilla.broadcast import TERMINAL, Breaker, Endpoint, EndpointState, Secret
from flotilla.broadcast_ports import Endpoints
from flotilla.models import Status

T = TypeVar("T")

ENDPOINT = Endpoint(
    id="whk_1",
    tenant="acme",
    url="https://hooks.example/größe?x=1",
    events=TERMINAL,
    agents=None,
    secrets=(Secret("whsec_bmV3"), Secret("whsec_b2xk", until_ms=1_700_000_086_400_000)),
    created_at_ms=1_700_000_000_000,
)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class EndpointsContract:
    """Provide a fixture `endpoints`: where none is kept."""

    def test_an_endpoint_is_read_back_as_it_was_added(self, endpoints: Endpoints) -> None:
        other = replace(
            ENDPOINT,
            id="whk_2",
            events=(),
            agents=("a.b", "größe"),
            state=EndpointState.DISABLED,
            breaker=Breaker(7, 2, 1_700_000_000_123),
            created_at_ms=ENDPOINT.created_at_ms + 1,
        )
        assert run(endpoints.add(other))
        assert run(endpoints.add(ENDPOINT))
        assert run(endpoints.get("acme", "whk_1")) == ENDPOINT
        assert run(endpoints.of("acme")) == [ENDPOINT, other], "the oldest first"

    def test_tenants_see_nothing_of_each_other(self, endpoints: Endpoints) -> None:
        run(endpoints.add(ENDPOINT))
        run(endpoints.add(replace(ENDPOINT, tenant="evil", url="https://evil.example")))
        run(endpoints.ask_for([Status.RUNNING]))
        found = run(endpoints.of("evil"))
        assert [endpoint.tenant for endpoint in found] == ["evil"]
        assert run(endpoints.get("else", "whk_1")) is None
        assert run(endpoints.of("else")) == []
        assert run(endpoints.of("")) == [], "nobody has an empty name"
        assert not run(endpoints.remove("else", "whk_1"))
        assert run(endpoints.get("acme", "whk_1")) == ENDPOINT

    def test_adding_it_twice_changes_nothing(self, endpoints: Endpoints) -> None:
        assert run(endpoints.add(ENDPOINT))
        assert not run(endpoints.add(replace(ENDPOINT, secrets=(Secret("whsec_b3RoZXI="),))))
        assert run(endpoints.get("acme", "whk_1")) == ENDPOINT

    def test_of_two_changes_to_the_same_state_one_is_refused(self, endpoints: Endpoints) -> None:
        run(endpoints.add(ENDPOINT))
        changed = replace(ENDPOINT, breaker=Breaker(1), events=(), agents=("a",), state=EndpointState.DISABLED)
        assert run(endpoints.change(changed))
        assert not run(endpoints.change(replace(ENDPOINT, breaker=Breaker(9))))
        stored = run(endpoints.get("acme", "whk_1"))
        assert stored == replace(changed, version=1)
        assert run(endpoints.change(replace(stored, breaker=Breaker())))

    def test_a_change_brings_nothing_back_that_was_removed(self, endpoints: Endpoints) -> None:
        run(endpoints.add(ENDPOINT))
        assert run(endpoints.remove("acme", "whk_1"))
        assert not run(endpoints.change(replace(ENDPOINT, breaker=Breaker(1))))
        assert run(endpoints.get("acme", "whk_1")) is None
        assert not run(endpoints.remove("acme", "whk_1"))

    def test_what_is_asked_for_adds_up_over_all_tenants(self, endpoints: Endpoints) -> None:
        assert run(endpoints.asked_for()) == frozenset()
        run(endpoints.ask_for([Status.SUCCEEDED, Status.RUNNING]))
        run(endpoints.ask_for({Status.SUCCEEDED, Status.PARKED}))
        assert run(endpoints.asked_for()) == {Status.SUCCEEDED, Status.RUNNING, Status.PARKED}
