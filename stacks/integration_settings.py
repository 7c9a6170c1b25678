"""`[integrations.<name>]` of `fleet.toml`: the services that agents call through `ctx.integration(name)`.

Nothing here is secret: of a secret the file has the name it has in Secrets Manager. What is wrong between several keys
is said by `mistakes`, as everywhere a message and the key it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from stacks.settings_section import Section

IntegrationName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=32)]

ANY = "*"
"""In an agent's integrations: all that there are."""

IntegrationReference = Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9_-]*)$", max_length=32)]

# The names Secrets Manager takes. None may end as the suffix it adds itself does, or a name would match another's ARN.
SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9/_+=.@-]+$", max_length=256)]

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$", max_length=64)]

Seconds = Annotated[float, Field(gt=0, le=850)]

BasePath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9/%._~!$&'()*+,;=:@-]*$", max_length=1024)]

_URL = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9/%._~!$&'()*+,;=:@-]*)?")
_DOT_SEGMENT = re.compile(r"/\.{1,2}(/|$)|%2e|%2f|%5c", re.IGNORECASE)
SUFFIX_OF_SECRETS = re.compile(r"-[A-Za-z0-9]{6}$")
_LOWEST_OTHER_PORT = 1024


class Auth(Section):
    """How calls are authenticated.

    Attributes:
        secret: Name of the secret in Secrets Manager.
        header: Which header carries it, for scheme `header`.
        field: Which member of the secret, where that is a JSON object.
    """

    scheme: Literal["bearer", "header", "basic"] = "bearer"
    secret: SecretName
    header: HeaderName | None = None
    field: str | None = None


class Timeouts(Section):
    """How long a call may take: to connect, between two parts of the answer, and in all, repetitions included."""

    connect_seconds: Seconds = 2.0
    read_seconds: Seconds = 10.0
    total_seconds: Seconds = 30.0


class Retry(Section):
    """How often a call is made, the first included, and how long it waits before it is made again (full jitter)."""

    attempts: int = Field(default=3, ge=1, le=10)
    base_seconds: Seconds = 0.2
    cap_seconds: Seconds = 5.0


class Breaker(Section):
    """The circuit breaker.

    Attributes:
        enabled: Whether there is one.
        failure_rate: Opens when the share of failed calls is surely at least this.
        latency_p99_ms: Opens when surely more than one call in a hundred takes longer; without it, on failures only.
        minimum_volume: Opens on no fewer calls than this.
        window_seconds: How far back calls count.
        cooldown_seconds: How long it stays open at first.
        longest_cooldown_seconds: However often it fails again.
        probes: Calls at once that try whether the other side is well again, in the whole fleet.
    """

    enabled: bool = True
    failure_rate: float = Field(default=0.5, gt=0, le=1)
    latency_p99_ms: int | None = Field(default=None, ge=1, le=850_000)
    minimum_volume: int = Field(default=10, ge=1, le=100_000)
    window_seconds: int = Field(default=60, ge=20, le=600)
    cooldown_seconds: int = Field(default=10, ge=1, le=3600)
    longest_cooldown_seconds: int = Field(default=60, ge=1, le=3600)
    probes: int = Field(default=3, ge=1, le=100)


class Rate(Section):
    """How often something may be done."""

    rate_per_minute: int = Field(ge=1, le=10_000_000)
    burst: int = Field(ge=1, le=10_000_000)


class Integration(Section):
    """One integration.

    Attributes:
        base_url: Every call goes below it; no call goes to another host.
        private: Its host may have an address that is not public, and be spoken to without TLS.
        paths: What paths below `base_url` must be or begin with; empty for all.
        idempotency_header: Carries a key by which the other side knows a POST or PATCH that is made again; "" where it
            knows none: such calls are then repeated only where they surely were not carried out.
        response_bytes: The longest answer that is taken.
        concurrency: Calls at once, of the whole fleet.
        concurrency_per_tenant: The same on behalf of each tenant.
        limit: How often the whole fleet may call it.
        limit_per_agent: The same for each agent.
        limit_per_tenant: The same on behalf of each tenant.
    """

    base_url: Annotated[str, Field(max_length=1024)]
    private: bool = False
    paths: tuple[BasePath, ...] = Field(default=(), strict=False)
    idempotency_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]*$", max_length=64)] = "Idempotency-Key"
    response_bytes: int = Field(default=1_048_576, ge=1, le=104_857_600)
    concurrency: int | None = Field(default=None, ge=1, le=100_000)
    concurrency_per_tenant: int | None = Field(default=None, ge=1, le=100_000)
    auth: Auth | None = None
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    limit: Rate | None = None
    limit_per_agent: Rate | None = None
    limit_per_tenant: Rate | None = None


def mistakes(integrations: Mapping[str, Integration]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with integrations whose keys are each valid by themselves: the key, and what is allowed."""
    for name, integration in integrations.items():
        for path, message in _mistakes_of(integration):
            yield ("integrations", name, *path), message


def _mistakes_of(integration: Integration) -> Iterator[tuple[tuple[str, ...], str]]:
    if (wrong := wrong_url(integration.base_url, private=integration.private)) is not None:
        yield ("base_url",), f"{integration.base_url!r} is not allowed; {wrong}"
    for path in integration.paths:
        if _DOT_SEGMENT.search(path):
            yield ("paths",), f"{path!r} is not allowed; allowed: paths without dot segments and escaped slashes"
    timeouts, retry, breaker, auth = integration.timeouts, integration.retry, integration.breaker, integration.auth
    longest = max(timeouts.connect_seconds, timeouts.read_seconds)
    if timeouts.total_seconds < longest:
        message = f"must be at least connect_seconds and read_seconds ({longest:g}), not {timeouts.total_seconds:g}"
        yield ("timeouts", "total_seconds"), message
    if retry.cap_seconds < retry.base_seconds:
        yield ("retry", "cap_seconds"), f"must be at least base_seconds ({retry.base_seconds:g})"
    fleet, tenant = integration.concurrency, integration.concurrency_per_tenant
    if fleet is not None and tenant is not None and tenant > fleet:
        yield ("concurrency_per_tenant",), f"must be at most concurrency ({fleet}), not {tenant}"
    if breaker.longest_cooldown_seconds < breaker.cooldown_seconds:
        message = f"must be at least cooldown_seconds ({breaker.cooldown_seconds})"
        yield ("breaker", "longest_cooldown_seconds"), message
    if auth is not None:
        if auth.scheme == "header" and auth.header is None:
            yield ("auth", "header"), 'must be given where scheme is "header"'
        if auth.scheme != "header" and auth.header is not None:
            yield ("auth", "header"), f'is not allowed where scheme is "{auth.scheme}": it has a header of its own'
        if SUFFIX_OF_SECRETS.search(auth.secret):
            message = "must not end in a hyphen and six characters: that is what Secrets Manager adds to names"
            yield ("auth", "secret"), message


def wrong_url(url: str, *, private: bool) -> str | None:
    """What is allowed instead of a base URL that is not; None of one that is."""
    if not _URL.fullmatch(url) or _DOT_SEGMENT.search(url):
        return "allowed: https://host[:port][/path], the host in lower case, without user, query and dot segments"
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        port = parts.port
    except ValueError:
        return "allowed: a port from 1 to 65535"
    if port == 0:
        return "allowed: a port from 1 to 65535"
    numeric = bool(re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.split(".")[-1]))
    if numeric and not _is_address(host):
        return "allowed: an IPv4 address as four decimal numbers"
    if not numeric and (len(host) > 253 or not all(_is_label(label) for label in host.split("."))):
        return "allowed: a host name of letters, digits and hyphens"
    if private:
        return None
    if parts.scheme != "https":
        return "allowed: https://, or http:// with private = true"
    if port is not None and port != 443 and port < _LOWEST_OTHER_PORT:
        return f"allowed: port 443, or one from {_LOWEST_OTHER_PORT} on; any with private = true"
    if numeric and not ip_address(host).is_global:
        return "allowed: a public address; any with private = true"
    return None


def _is_label(label: str) -> bool:
    return bool(re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def declared(integrations: Mapping[str, Integration]) -> dict[str, Any]:
    """What the functions are told of the integrations, in the library's layer: `{"integrations": {name: …}}`."""
    return {"integrations": {name: _declared(integrations[name]) for name in sorted(integrations)}}


def breaker_declared(breaker: Breaker) -> dict[str, Any] | None:
    """What the functions are told of a circuit; None where there is none."""
    if not breaker.enabled:
        return None
    return {
        "failure_rate": breaker.failure_rate,
        "latency_p99_ms": breaker.latency_p99_ms,
        "minimum_volume": breaker.minimum_volume,
        "window_ms": breaker.window_seconds * 1000,
        "cooldown_ms": breaker.cooldown_seconds * 1000,
        "longest_cooldown_ms": breaker.longest_cooldown_seconds * 1000,
        "probes": breaker.probes,
    }


def _declared(integration: Integration) -> dict[str, Any]:
    limits = {
        "fleet": integration.limit,
        "agent": integration.limit_per_agent,
        "tenant": integration.limit_per_tenant,
    }
    return {
        "base_url": integration.base_url,
        "private": integration.private,
        "paths": list(integration.paths),
        "auth": None if integration.auth is None else integration.auth.model_dump(exclude_none=True),
        "timeouts": {
            "connect_ms": _ms(integration.timeouts.connect_seconds),
            "read_ms": _ms(integration.timeouts.read_seconds),
            "total_ms": _ms(integration.timeouts.total_seconds),
        },
        "retry": {
            "attempts": integration.retry.attempts,
            "base_ms": _ms(integration.retry.base_seconds),
            "cap_ms": _ms(integration.retry.cap_seconds),
        },
        "breaker": breaker_declared(integration.breaker),
        "limits": {of: limit.model_dump() for of, limit in limits.items() if limit is not None},
        "concurrency": integration.concurrency,
        "concurrency_per_tenant": integration.concurrency_per_tenant,
        "response_bytes": integration.response_bytes,
        "idempotency_header": integration.idempotency_header,
    }


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def secrets_of(integrations: Mapping[str, Integration]) -> list[str]:
    """The names of the secrets that calls to them take."""
    return sorted({each.auth.secret for each in integrations.values() if each.auth is not None})
