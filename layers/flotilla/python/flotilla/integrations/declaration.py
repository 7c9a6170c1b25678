"""Integrations as they were declared: what `fleet.toml` says of each, in the form that was shipped with this layer.

Holds no secret, only the names of secrets. Times are whole milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from flotilla.integration_ports import protection_name
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.token_bucket import Limit
from flotilla.primitives.webhook_url import target_of
from flotilla.protection_declaration import declared_limit, declared_policy

ANY = "*"
"""An agent that declares this may call every integration of the fleet."""

_FILE = "declared.json"


@dataclass(frozen=True, slots=True)
class Auth:
    """How calls are authenticated.

    Attributes:
        scheme: `bearer`, `header` or `basic`.
        secret: Name of the secret.
        header: Which header carries it, for `header`.
        field: Which member of the secret it is, where that is a JSON object.
    """

    scheme: str
    secret: str
    header: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon a call is made again.

    Attributes:
        attempts: Calls in all, the first included.
        base_ms: Upper bound of the first wait.
        cap_ms: Upper bound of every wait.
    """

    attempts: int
    base_ms: int
    cap_ms: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How often an integration may be called; None without limit.

    Attributes:
        fleet: By the whole fleet.
        agent: By each agent.
        tenant: On behalf of each tenant.
    """

    fleet: Limit | None = None
    agent: Limit | None = None
    tenant: Limit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One integration.

    Attributes:
        origin: Scheme, host and port; no call goes elsewhere.
        base_path: What every path begins with; empty, or without a slash at its end.
        private: Its host may have an address that is not public, and be spoken to without TLS.
        paths: What paths below `base_path` must be or begin with, segment by segment; empty for all.
        total_ms: The longest one call may take, repetitions and waits included.
        breaker: The circuit's settings; None for no circuit.
        concurrency: Calls at once, of the whole fleet; None without bound.
        concurrency_per_tenant: The same on behalf of each tenant.
        response_bytes: The longest answer that is taken.
        idempotency_header: Carries the key by which the other side knows a repetition; None where it knows none.
    """

    name: str
    origin: str
    base_path: str
    private: bool
    paths: tuple[str, ...]
    auth: Auth | None
    connect_ms: int
    read_ms: int
    total_ms: int
    retry: RetryPolicy
    breaker: CircuitPolicy | None
    limits: Limits
    concurrency: int | None
    concurrency_per_tenant: int | None
    response_bytes: int
    idempotency_header: str | None

    @classmethod
    def from_json(cls, name: str, value: Mapping[str, Any]) -> Integration:
        """Read one integration; members of a later version are ignored.

        Raises:
            ValueError: It is none that can be called.
            KeyError: It lacks something.
        """
        private = bool(value["private"])
        if "?" in value["base_url"]:
            raise ValueError(f"integration {name}: its base_url has a query")
        target = target_of(value["base_url"], _All() if private else ())
        timeouts = value["timeouts"]
        return cls(
            name=name,
            origin=f"{'https' if target.tls else 'http'}://{target.authority}",
            base_path=target.path.rstrip("/"),
            private=private,
            paths=tuple(value["paths"]),
            auth=None if value["auth"] is None else Auth(*(value["auth"].get(key) for key in Auth.__slots__)),
            connect_ms=timeouts["connect_ms"],
            read_ms=timeouts["read_ms"],
            total_ms=timeouts["total_ms"],
            retry=RetryPolicy(*(value["retry"][key] for key in RetryPolicy.__slots__)),
            breaker=declared_policy(value["breaker"], timeouts["total_ms"]),
            limits=Limits(**{of: declared_limit(value["limits"].get(of)) for of in Limits.__slots__}),
            concurrency=value["concurrency"],
            concurrency_per_tenant=value.get("concurrency_per_tenant"),
            response_bytes=value["response_bytes"],
            idempotency_header=value["idempotency_header"] or None,
        )


class _All(Container[str]):
    """Every host."""

    def __contains__(self, host: object) -> bool:
        return True


def circuits_of(integrations: Mapping[str, Integration]) -> dict[str, CircuitPolicy]:
    """The settings of their circuits, by the circuits' names."""
    named = {protection_name(name): each.breaker for name, each in integrations.items()}
    return {name: policy for name, policy in named.items() if policy is not None}


def limits_of(integrations: Mapping[str, Integration]) -> dict[str, Limit | None]:
    """Their limits, by the limits' names; None where none is declared, and one may be set."""
    found: dict[str, Limit | None] = {}
    for name, each in integrations.items():
        of_fleet = protection_name(name)
        limits = each.limits
        found |= {of_fleet: limits.fleet, f"{of_fleet}.agent": limits.agent, f"{of_fleet}.tenant": limits.tenant}
    return found


def declared_in(text: str) -> dict[str, Integration]:
    """Read a file of declarations."""
    found = json.loads(text)["integrations"]
    return {name: Integration.from_json(name, value) for name, value in found.items()}


def deployed() -> dict[str, Integration]:
    """The integrations that were shipped with this layer; none where it was built without."""
    file = resources.files("flotilla.integrations").joinpath(_FILE)
    return declared_in(file.read_text("utf-8")) if file.is_file() else {}
