"""Registering endpoints: one for each URL, secrets that rotate, and nothing passed over for want of a note."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from flotilla.broadcast import TERMINAL, Breaker, Endpoint, EndpointState, Secret
from flotilla.errors import RetryableError
from flotilla.models import Status
from flotilla.services.destinations import Destinations, ForbiddenDestinationError
from flotilla.services.endpoint_directory import TTL_MS, EndpointDirectory
from flotilla.services.endpoints import (
    MAX_ENDPOINTS,
    OLD_SECRET_SECONDS,
    EndpointService,
    Registration,
    TooManyEndpointsError,
    valid,
)
from tests.fakes import ManualClock
from tests.fakes.broadcast import MemoryEndpoints, MemoryResolver
from tests.unit.services.fleet import run

URL = "https://hooks.example/in"


class Registry:
    """A service over endpoints in memory."""

    def __init__(self, endpoints: MemoryEndpoints | None = None) -> None:
        self.clock = ManualClock()
        self.endpoints = endpoints or MemoryEndpoints()
        self.resolver = MemoryResolver(["93.184.216.34"])
        numbers = itertools.count(1)
        self.service = EndpointService(
            self.endpoints,
            Destinations(self.resolver),
            self.clock,
            lambda length: bytes([next(numbers)]) * length,
        )

    def register(self, url: str = URL, tenant: str = "acme", **wanted: object) -> Endpoint:
        endpoint: Endpoint = run(self.service.register(Registration(tenant, url, **wanted)))  # type: ignore[arg-type]
        return endpoint

    def signs_with(self, endpoint: Endpoint) -> list[str]:
        stored = self.endpoints.endpoints[endpoint.tenant, endpoint.id]
        return [secret.text for secret in valid(stored.secrets, self.clock.now_ms())]


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_new_endpoint_is_told_how_all_tasks_end(registry: Registry) -> None:
    endpoint = registry.register()
    assert endpoint.events == TERMINAL
    assert endpoint.agents is None
    assert endpoint.state is EndpointState.ACTIVE
    assert endpoint.id.startswith("whk_")
    assert registry.endpoints.endpoints["acme", endpoint.id] == endpoint


def test_one_url_is_one_endpoint_of_a_tenant_and_another_of_the_next(registry: Registry) -> None:
    ids = [registry.register(url, tenant).id for url, tenant in itertools.product((URL, URL + "/2"), ("a", "b"))]
    assert len(set(ids)) == 4
    assert registry.register(URL, "a").id == ids[0]


def test_a_new_secret_signs_beside_the_old_one_for_a_day(registry: Registry) -> None:
    first = registry.register().secrets[0].text
    registry.clock.advance(1000)
    rotated = registry.register()
    assert registry.signs_with(rotated) == [rotated.secrets[0].text, first]
    registry.clock.advance(OLD_SECRET_SECONDS - 1)
    assert first in registry.signs_with(rotated)
    registry.clock.advance(1)
    assert registry.signs_with(rotated) == [rotated.secrets[0].text]


def test_a_client_that_lost_the_answer_and_repeats_the_call_breaks_no_receiver(registry: Registry) -> None:
    """The receiver still has the secret of before both calls."""
    used = registry.register().secrets[0].text
    registry.register()
    registry.clock.advance(5)
    assert used in registry.signs_with(registry.register())


def test_secrets_do_not_pile_up(registry: Registry) -> None:
    endpoints = [registry.register() for _ in range(20)]
    assert len(registry.signs_with(endpoints[-1])) == 5


def test_what_is_left_out_stays_as_it_is_and_what_is_said_counts(registry: Registry) -> None:
    registry.register(events=[Status.RUNNING], agents=["a.b"])
    assert registry.register().events == (Status.RUNNING,)
    assert registry.register().agents == ("a.b",)
    changed = registry.register(events=[], agents=None)
    assert (changed.events, changed.agents) == ((), None)


def test_a_rotation_enables_an_endpoint_again(registry: Registry) -> None:
    endpoint = registry.register()
    disabled = replace(endpoint, state=EndpointState.DISABLED, breaker=Breaker(9, 3, 10**15))
    assert run(registry.endpoints.change(disabled))
    again = registry.register()
    assert (again.state, again.breaker) == (EndpointState.ACTIVE, Breaker())


def test_what_may_be_asked_for_is_noted_before_the_endpoint_is_there(registry: Registry) -> None:
    registry.register(events=[Status.PARKED])
    calls = registry.endpoints.calls
    assert calls.index("ask_for") < calls.index("add")
    assert registry.endpoints.statuses == {*TERMINAL, Status.PARKED}, "a task may name it, and then its end is told"


def test_nothing_is_stored_of_what_is_forbidden(registry: Registry) -> None:
    registry.resolver = MemoryResolver(["10.0.0.1"])
    for url in ("http://hooks.example", "https://10.0.0.1/", "https://x@hooks.example/"):
        with pytest.raises(ForbiddenDestinationError):
            registry.register(url)
    assert registry.endpoints.calls == []


def test_a_tenant_has_a_bounded_number_of_endpoints(registry: Registry) -> None:
    for number in range(MAX_ENDPOINTS):
        registry.register(f"{URL}/{number}")
    with pytest.raises(TooManyEndpointsError):
        registry.register(f"{URL}/more")
    registry.register(f"{URL}/0")  # a new secret is no new endpoint
    registry.register(URL, tenant="other")


def test_an_endpoint_that_is_removed_is_gone_for_its_tenant_only(registry: Registry) -> None:
    endpoint = registry.register()
    assert not run(registry.service.remove("other", endpoint.id))
    assert run(registry.service.all("acme")) == [endpoint]
    assert run(registry.service.remove("acme", endpoint.id))
    assert run(registry.service.get("acme", endpoint.id)) is None
    assert not run(registry.service.remove("acme", endpoint.id))


class Interfered(MemoryEndpoints):
    """Somebody else comes first, or the answer of a write is lost, now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.before_add: list[Callable[[Endpoint], Endpoint]] = []
        self.refused_changes = 0
        self.lost_changes = 0

    async def add(self, endpoint: Endpoint) -> bool:
        for other in self.before_add:
            self.endpoints[endpoint.tenant, endpoint.id] = other(endpoint)
        self.before_add = []
        return await super().add(endpoint)

    async def change(self, endpoint: Endpoint) -> bool:
        if self.lost_changes:
            self.lost_changes -= 1
            await super().change(endpoint)
            return False  # what a client library sees that sent the same write again
        if self.refused_changes:
            self.refused_changes -= 1
            return False
        return await super().change(endpoint)


def test_of_two_first_registrations_at_once_both_secrets_are_good() -> None:
    endpoints = Interfered()
    endpoints.before_add = [lambda ours: replace(ours, secrets=(Secret("whsec_dGhlaXJz"),))]
    registry = Registry(endpoints)
    endpoint = registry.register()
    assert registry.signs_with(endpoint) == [endpoint.secrets[0].text, "whsec_dGhlaXJz"]


def test_a_rotation_whose_answer_was_lost_rotates_once() -> None:
    endpoints = Interfered()
    registry = Registry(endpoints)
    first = registry.register().secrets[0].text
    endpoints.lost_changes = 1
    rotated = registry.register()
    assert registry.signs_with(rotated) == [rotated.secrets[0].text, first]


def test_an_endpoint_that_keeps_changing_is_left_for_later() -> None:
    endpoints = Interfered()
    registry = Registry(endpoints)
    registry.register()
    endpoints.refused_changes = 2
    registry.register()
    endpoints.refused_changes = 100
    with pytest.raises(RetryableError):
        registry.register()


def directory_over(registry: Registry, **options: int) -> EndpointDirectory:
    return EndpointDirectory(registry.endpoints, registry.clock, **options)


def counted(registry: Registry, call: str) -> int:
    return registry.endpoints.calls.count(call)


def test_a_tenant_without_endpoints_costs_one_read_in_two_seconds(registry: Registry) -> None:
    directory = directory_over(registry)
    for _ in range(100):
        assert run(directory.of("acme")) == ()
    assert counted(registry, "of") == 1
    registry.clock.advance(TTL_MS / 1000)
    run(directory.of("acme"))
    assert counted(registry, "of") == 2


def test_what_happens_after_a_registration_was_answered_is_told(registry: Registry) -> None:
    directory = directory_over(registry)
    run(directory.of("acme"))
    assert run(directory.asked_for()) == frozenset()
    endpoint = registry.register()
    assert run(directory.of("acme")) == (endpoint,)
    assert run(directory.asked_for()) == set(TERMINAL)


def test_an_endpoint_that_asks_for_more_is_told_it_once_that_is_answered(registry: Registry) -> None:
    registry.register()
    directory = directory_over(registry)
    run(directory.of("acme"))
    changed = registry.register(events=[Status.RUNNING])
    assert run(directory.of("acme")) == (changed,)


def test_a_rotation_is_answered_at_once(registry: Registry) -> None:
    registry.register()
    began_ms = registry.clock.now_ms()
    registry.register()
    assert registry.clock.now_ms() == began_ms


def test_an_endpoint_can_be_named_by_id_or_url_at_once_and_only_by_its_tenant(registry: Registry) -> None:
    directory = directory_over(registry)
    assert run(directory.named("acme", URL)) is None
    endpoint = registry.register()
    names: Iterable[str] = (endpoint.id, URL)
    assert [run(directory.named("acme", name)) for name in names] == [endpoint, endpoint]
    assert [run(directory.named("other", name)) for name in names] == [None, None]
    assert run(directory.named("acme", URL + "/")) is None, "exactly that URL"
    before = counted(registry, "of")
    run(directory.named("acme", endpoint.id))
    assert counted(registry, "of") == before, "what is known is not read again"


def test_tenants_are_remembered_within_a_bound(registry: Registry) -> None:
    directory = directory_over(registry, max_tenants=3)
    for number in range(10):
        run(directory.of(f"tenant-{number}"))
    for number in (9, 8, 7):
        run(directory.of(f"tenant-{number}"))
    assert counted(registry, "of") == 10


def test_a_directory_that_cannot_be_read_is_an_error_and_not_an_empty_one(registry: Registry) -> None:
    directory = directory_over(registry)
    registry.endpoints.down = True
    with pytest.raises(RetryableError):
        run(directory.of("acme"))
    with pytest.raises(RetryableError):
        run(directory.asked_for())
