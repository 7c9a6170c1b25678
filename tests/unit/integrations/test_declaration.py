"""What fleet.toml declares is what the functions read, and what it accepts can be called."""

from __future__ import annotations

import json

import pytest

from flotilla.integrations.declaration import Auth, Integration, RetryPolicy, declared_in, deployed
from flotilla.primitives.token_bucket import Limit
from stacks.config import ConfigError, parse
from stacks.integration_settings import declared
from tests.unit.integrations.declarations import crm, integrations

EVERYTHING = """
[integrations.crm]
base_url = "https://api.crm.example:8443/v2/"
paths = ["/customers", "/orders/"]
idempotency_header = "X-Request-Id"
response_bytes = 5000
concurrency = 7
[integrations.crm.auth]
scheme = "header"
secret = "crm/token"
header = "X-Api-Key"
field = "key"
[integrations.crm.timeouts]
connect_seconds = 1
read_seconds = 2.5
total_seconds = 9
[integrations.crm.retry]
attempts = 4
base_seconds = 0.1
cap_seconds = 1
[integrations.crm.breaker]
failure_rate = 0.25
latency_p99_ms = 800
minimum_volume = 20
window_seconds = 120
cooldown_seconds = 5
longest_cooldown_seconds = 50
probes = 2
[integrations.crm.limit]
rate_per_minute = 600
burst = 60
[integrations.crm.limit_per_agent]
rate_per_minute = 60
burst = 6
[integrations.crm.limit_per_tenant]
rate_per_minute = 30
burst = 3
"""


def test_all_that_is_declared_is_read() -> None:
    found = integrations(EVERYTHING)["crm"]
    assert (found.name, found.origin, found.base_path) == ("crm", "https://api.crm.example:8443", "/v2")
    assert (found.paths, found.idempotency_header) == (("/customers", "/orders/"), "X-Request-Id")
    assert (found.response_bytes, found.concurrency, found.private) == (5000, 7, False)
    assert found.auth == Auth("header", "crm/token", "X-Api-Key", "key")
    assert (found.connect_ms, found.read_ms, found.total_ms) == (1000, 2500, 9000)
    assert found.retry == RetryPolicy(4, 100, 1000)
    assert (found.limits.fleet, found.limits.agent, found.limits.tenant) == (Limit(600, 60), Limit(60, 6), Limit(30, 3))
    policy = found.breaker
    assert policy is not None
    assert (policy.failure_rate, policy.latency_p99_ms, policy.minimum_volume, policy.probes) == (0.25, 800, 20, 2)
    assert (policy.window_ms, policy.cooldown_ms, policy.longest_cooldown_ms) == (120_000, 5000, 50_000)
    assert policy.probe_lease_ms > found.total_ms, "no call outlives its probe's lease"


def test_little_is_needed() -> None:
    found = crm()
    assert (found.auth, found.concurrency, found.paths, found.limits.fleet) == (None, None, (), None)
    assert found.breaker is not None
    assert found.idempotency_header == "Idempotency-Key"


def test_there_may_be_no_circuit_and_no_key() -> None:
    found = crm('idempotency_header = ""\n[integrations.crm.breaker]\nenabled = false\n')
    assert (found.breaker, found.idempotency_header) == (None, None)


def test_members_of_a_later_version_are_ignored() -> None:
    value = declared(parse(EVERYTHING).integrations)
    value["later"] = 1
    value["integrations"]["crm"]["later"] = {"a": 1}
    value["integrations"]["crm"]["timeouts"]["later"] = 1
    assert declared_in(json.dumps(value)) == integrations(EVERYTHING)


def test_a_library_that_was_built_without_any_has_none() -> None:
    assert deployed() == {}


URLS = [
    "https://api.example",
    "https://api.example:443/",
    "https://api.example:1024/a%20b/c",
    "https://93.184.216.34/x",
    "https://xn--gre-6ka8i.example/v1",
]
PRIVATE_URLS = ["http://127.0.0.1:8080", "http://localhost", "https://10.0.0.1:99/x", "http://crm.internal/api"]


@pytest.mark.parametrize(
    ("url", "private"), [*((url, False) for url in URLS), *((url, True) for url in (*URLS, *PRIVATE_URLS))]
)
def test_every_url_that_can_be_declared_can_be_read(url: str, private: bool) -> None:
    found = crm(f"private = {str(private).lower()}", base_url=url)
    assert url.removesuffix("/").startswith(found.origin.removesuffix(":443"))
    assert not found.base_path.endswith("/")


@pytest.mark.parametrize(
    "url",
    [
        *PRIVATE_URLS,
        "ftp://api.example",
        "https://user@api.example",
        "https://user:pass@api.example",
        "https://api.example?x=1",
        "https://api.example/#x",
        "https://API.example",
        "https://api.example/a/../b",
        "https://api.example/%2e%2e/b",
        "https://api.example:22",
        "https://api.example:0",
        "https://api.example:70000",
        "https://0x7f.1",
        "https://127.1",
        "https://169.254.169.254/latest",
        "https://-api.example",
        "https://api..example",
        "https://",
        "api.example",
        "",
    ],
)
def test_a_url_that_is_not_public_and_plain_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"integrations\.crm\.base_url"):
        crm(base_url=url)


def test_a_file_that_was_tampered_with_is_not_read() -> None:
    value = declared(parse(EVERYTHING).integrations)["integrations"]["crm"]
    for url in ("http://api.crm.example", "https://api.crm.example/?x", "https://user@api.crm.example"):
        with pytest.raises(ValueError, match=r"https|query"):
            Integration.from_json("crm", value | {"base_url": url})
