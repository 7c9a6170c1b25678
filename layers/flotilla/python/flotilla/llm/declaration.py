"""Models and routes as they were declared: what `fleet.toml` says of each, in the form shipped with this layer.

Holds no secret, only the names of secrets. Prices were looked up when the fleet was synthesized, and are whole
millionths of a dollar for a million tokens: a model costs the same for everybody until the next deployment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from flotilla.errors import PermanentError
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.token_bucket import Limit
from flotilla.protection_declaration import declared_limit, declared_policy

ANY = "*"
"""An agent that declares this may call every route of the fleet."""

QUALITIES = ("low", "medium", "high")
"""What is asked of models, the least first."""

_FILE = "declared.json"


def protection_name(model: str) -> str:
    """The name of a model's circuit; its limits are `<it>.requests` and `<it>.tokens`."""
    return f"model#{model}"


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in millionths of a dollar for a million tokens.

    Attributes:
        input: Of what is asked.
        output: Of what is answered.
        cached_input: Of what is asked and the provider had kept from before.
    """

    input: int
    output: int
    cached_input: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model.

    Attributes:
        name: In `fleet.toml`.
        provider: `bedrock`, or `openai` for a server that speaks OpenAI's protocol.
        id: As the provider calls it.
        base_url: Of the server, for `openai`.
        private: The server may have an address that is not public, and be spoken to without TLS.
        secret: Name of the secret that holds its key; None where it wants none.
        structured: How it is held to a form for its answers, as its provider calls it; None: as that thinks best.
        max_tokens_member: What the server calls the bound of an answer.
        quality: One of `QUALITIES`.
        context_tokens: The longest conversation it takes, its answer included; None where nobody said.
        breaker: The circuit's settings; None for no circuit.
        requests: How many requests the fleet may make.
        tokens: How many tokens they may use, asked and answered.
    """

    name: str
    provider: str
    id: str
    base_url: str | None
    private: bool
    secret: str | None
    structured: Any
    max_tokens_member: Any
    quality: str
    context_tokens: int | None
    price: Price
    breaker: CircuitPolicy | None
    requests: Limit | None
    tokens: Limit | None


@dataclass(frozen=True, slots=True)
class Route:
    """An ordered choice of models.

    Attributes:
        models: The preferred one first.
        timeout_ms: The longest one model may take to answer.
        rounds: How often they are tried in turn, where all of them fail, before the call does.
        quality: No model of less serves.
    """

    name: str
    models: tuple[Model, ...]
    timeout_ms: int
    rounds: int
    quality: str


def quality_level(quality: str) -> int:
    """Where a quality stands among the others.

    Raises:
        PermanentError: There is none of that name.
    """
    if quality not in QUALITIES:
        raise PermanentError(f"quality is one of {', '.join(QUALITIES)}", code="invalid_request")
    return QUALITIES.index(quality)


def routes_in(text: str) -> dict[str, Route]:
    """Read a file of declarations.

    Raises:
        KeyError: It lacks something.
    """
    found = json.loads(text)
    longest_ms: dict[str, int] = {}
    for route in found["routes"].values():
        for name in route["models"]:
            longest_ms[name] = max(longest_ms.get(name, 0), route["timeout_ms"])
    models = {
        name: _model(name, value, longest_ms[name]) for name, value in found["models"].items() if name in longest_ms
    }
    return {
        name: Route(
            name=name,
            models=tuple(models[each] for each in value["models"]),
            timeout_ms=value["timeout_ms"],
            rounds=value["rounds"],
            quality=value["quality"],
        )
        for name, value in found["routes"].items()
    }


def deployed() -> dict[str, Route]:
    """The routes that were shipped with this layer; none where it was built without."""
    file = resources.files("flotilla.llm").joinpath(_FILE)
    return routes_in(file.read_text("utf-8")) if file.is_file() else {}


def _model(name: str, value: Mapping[str, Any], longest_ms: int) -> Model:
    return Model(
        name=name,
        provider=value["provider"],
        id=value["id"],
        base_url=value["base_url"],
        private=value["private"],
        secret=value["secret"],
        structured=value["structured"],
        max_tokens_member=value["max_tokens_member"],
        quality=value["quality"],
        context_tokens=value["context_tokens"],
        price=Price(*(value["price"][key] for key in Price.__slots__)),
        breaker=declared_policy(value["breaker"], longest_ms),
        requests=declared_limit(value["requests"]),
        tokens=declared_limit(value["tokens"]),
    )
