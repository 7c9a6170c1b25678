"""`[models.<name>]` and `[routes.<name>]` of `fleet.toml`: the language models that agents call through `ctx.llm`.

Nothing here is secret: of a secret the file has the name it has in Secrets Manager. What a model costs that the file
says nothing of is looked up in genai-prices, as that was when the tools were installed: no price changes between two
deployments. What is wrong between several keys is said by `mistakes`, as a message and the key it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from stacks.integration_settings import (
    SUFFIX_OF_SECRETS,
    Breaker,
    IntegrationName,
    IntegrationReference,
    Rate,
    Seconds,
    SecretName,
    breaker_declared,
    wrong_url,
)
from stacks.settings_section import Section

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation, TieredPrices

ModelName = IntegrationName
RouteName = IntegrationName
RouteReference = IntegrationReference

ModelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", max_length=200)]

Quality = Literal["low", "medium", "high"]

BaseUrl = Annotated[str, Field(max_length=1024)]

Dollars = Annotated[float, Field(ge=0, le=10_000)]

_BEDROCK_ID = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?")
_PROFILE = re.compile(r"(global|apac|us-gov|[a-z]{2})\.([a-z0-9-]+\..+)")
_MICROS = 1_000_000
_STRUCTURED = {"bedrock": ("schema", "tool", "prompt"), "openai": ("schema", "json", "prompt")}


class Price(Section):
    """What a model costs, in dollars for a million tokens; `cached_input_usd` for what its provider still had."""

    input_usd: Dollars
    output_usd: Dollars
    cached_input_usd: Dollars | None = None


class Model(Section):
    """One model.

    Attributes:
        provider: Amazon Bedrock, or a server that speaks OpenAI's protocol.
        id: As the provider calls it; on Bedrock the id of a model or of an inference profile.
        base_url: Of the server, for `openai`; requests go to `<base_url>/chat/completions`.
        private: The server may have an address that is not public, and be spoken to without TLS.
        secret: Name of the secret in Secrets Manager that holds the server's key.
        structured: How it is held to a form for its answers: on Bedrock by `schema`, `tool` or `prompt`, by default as
            models of its family can be; elsewhere by `schema` (the default), `json` or `prompt`.
        max_tokens_member: What the server calls the bound of an answer.
        quality: How good it is, for those who ask for a quality.
        context_tokens: The longest conversation it takes, its answer included.
        price: What it costs; by default as genai-prices has it.
        requests: How many requests the whole fleet may make.
        tokens: How many tokens these may use, asked and answered.
    """

    provider: Literal["bedrock", "openai"] = "bedrock"
    id: ModelId
    base_url: BaseUrl | None = None
    private: bool = False
    secret: SecretName | None = None
    structured: Literal["schema", "tool", "json", "prompt"] | None = None
    max_tokens_member: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    quality: Quality = "medium"
    context_tokens: int | None = Field(default=None, ge=1, le=100_000_000)
    price: Price | None = None
    breaker: Breaker = Breaker()
    requests: Rate | None = None
    tokens: Rate | None = None


class Route(Section):
    """An ordered choice of models: the first that may be called and answers serves.

    Attributes:
        models: The preferred one first.
        timeout_seconds: The longest that one model may take; the next is asked in what the attempt has left.
        rounds: How often they are tried in turn, where all of them fail, before the call does.
        min_quality: No model of less serves.
    """

    models: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=10, strict=False)]
    timeout_seconds: Seconds = 30.0
    rounds: int = Field(default=2, ge=1, le=5)
    min_quality: Quality = "low"


def mistakes(models: Mapping[str, Model]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with models whose keys are each valid by themselves: the key, and what is allowed."""
    for name, model in models.items():
        for path, message in _mistakes_of(model):
            yield ("models", name, *path), message


def _mistakes_of(model: Model) -> Iterator[tuple[tuple[str, ...], str]]:
    if model.structured is not None and model.structured not in _STRUCTURED[model.provider]:
        yield ("structured",), f"{model.structured!r} is not allowed; allowed: {', '.join(_STRUCTURED[model.provider])}"
    if model.provider == "bedrock":
        if not _BEDROCK_ID.fullmatch(model.id):
            yield ("id",), f"{model.id!r} is not allowed; allowed: the id of a model or an inference profile of Bedrock"
        for key in ("base_url", "secret"):
            if getattr(model, key) is not None:
                yield (key,), 'is not allowed where provider is "bedrock"'
        if model.private:
            yield ("private",), 'must be false where provider is "bedrock"'
    elif model.base_url is None:
        yield ("base_url",), 'is missing; needed where provider is "openai"'
    elif (wrong := wrong_url(model.base_url, private=model.private)) is not None:
        yield ("base_url",), f"{model.base_url!r} is not allowed; {wrong}"
    if model.secret is not None and SUFFIX_OF_SECRETS.search(model.secret):
        yield ("secret",), "must not end in a hyphen and six characters: that is what Secrets Manager adds to names"
    breaker = model.breaker
    if breaker.longest_cooldown_seconds < breaker.cooldown_seconds:
        message = f"must be at least cooldown_seconds ({breaker.cooldown_seconds})"
        yield ("breaker", "longest_cooldown_seconds"), message
    if price_in_micros(model) is None:
        yield ("price",), f"is missing: no price is known of {model.id!r}; needed: input_usd and output_usd"


def qualities_from(least: Quality) -> tuple[Quality, ...]:
    """That quality and those above it."""
    order: tuple[Quality, ...] = ("low", "medium", "high")
    return order[order.index(least) :]


def declared(models: Mapping[str, Model], routes: Mapping[str, Route]) -> dict[str, Any]:
    """What the functions are told of models and routes, in the library's layer."""
    return {
        "models": {name: _declared(models[name]) for name in sorted(models)},
        "routes": {
            name: {
                "models": list(routes[name].models),
                "timeout_ms": round(routes[name].timeout_seconds * 1000),
                "rounds": routes[name].rounds,
                "quality": routes[name].min_quality,
            }
            for name in sorted(routes)
        },
    }


def _declared(model: Model) -> dict[str, Any]:
    known = None if model.price is not None and model.context_tokens is not None else _known(model)
    return {
        "provider": model.provider,
        "id": model.id,
        "base_url": model.base_url,
        "private": model.private,
        "secret": model.secret,
        "structured": model.structured,
        "max_tokens_member": model.max_tokens_member,
        "quality": model.quality,
        "context_tokens": model.context_tokens or (None if known is None else known.model.context_window),
        "price": price_in_micros(model),
        "breaker": breaker_declared(model.breaker),
        "requests": None if model.requests is None else model.requests.model_dump(),
        "tokens": None if model.tokens is None else model.tokens.model_dump(),
    }


def secrets_of(models: Mapping[str, Model]) -> list[str]:
    """Names of the secrets that models need, each once."""
    return sorted({model.secret for model in models.values() if model.secret is not None})


def invoked(models: Mapping[str, Model]) -> tuple[list[str], dict[str, str]]:
    """What is called on Bedrock: the models' ids, and of each inference profile the id of the model behind it."""
    ids = sorted({model.id for model in models.values() if model.provider == "bedrock"})
    profiles = {each: found[2] for each in ids if (found := _PROFILE.fullmatch(each)) is not None}
    return [each for each in ids if each not in profiles], profiles


@dataclass(frozen=True)
class ModelServer:
    """A server that speaks OpenAI's protocol and serves all models, for trying things out.

    Attributes:
        url: With what comes before `/chat/completions`.
        model_id: What it calls its model; None where it goes by the models' own ids.
    """

    url: str
    model_id: str | None = None

    def instead_of(self, models: Mapping[str, Any]) -> dict[str, Any]:
        """The tables of models, as they are in the file, all served by this server and at no price."""
        return {
            name: self._instead_of(table) if isinstance(table, Mapping) else table for name, table in models.items()
        }

    def _instead_of(self, table: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in table.items() if key not in ("secret", "structured", "max_tokens_member")}
        its_own = {} if self.model_id is None else {"id": self.model_id}
        price = {"input_usd": 0.0, "output_usd": 0.0}
        return {**kept, **its_own, "provider": "openai", "base_url": self.url, "private": True, "price": price}


def price_in_micros(model: Model) -> dict[str, int] | None:
    """Millionths of a dollar for a million tokens; None where nobody knows."""
    if model.price is not None:
        given = model.price.cached_input_usd
        dollars = (model.price.input_usd, model.price.output_usd, model.price.input_usd if given is None else given)
        return _in_micros(*(Decimal(str(each)) for each in dollars))
    known = _known(model)
    if known is None:
        # Nobody sends a bill for a machine of one's own.
        return _in_micros(Decimal(0), Decimal(0), Decimal(0)) if model.private else None
    price = known.model_price
    if price.input_mtok is None or price.output_mtok is None:
        return None
    asked, answered = _base(price.input_mtok), _base(price.output_mtok)
    cached = asked if price.cache_read_mtok is None else _base(price.cache_read_mtok)
    return _in_micros(asked, answered, cached)


def _in_micros(asked: Decimal, answered: Decimal, cached: Decimal) -> dict[str, int]:
    prices = {"input": asked, "output": answered, "cached_input": cached}
    return {key: int((value * _MICROS).to_integral_value(ROUND_CEILING)) for key, value in prices.items()}


def _base(price: Decimal | TieredPrices) -> Decimal:
    return price if isinstance(price, Decimal) else price.base


def _known(model: Model) -> PriceCalculation | None:
    return _looked_up(model.provider, model.id, model.base_url)


@cache
def _looked_up(provider: str, model_id: str, base_url: str | None) -> PriceCalculation | None:
    from genai_prices import Usage, calc_price

    where: dict[str, Any] = {"provider_id": "aws"} if provider == "bedrock" else {"provider_api_url": base_url}
    try:
        return calc_price(Usage(input_tokens=1, output_tokens=1), model_id, **where)
    except LookupError:
        return None
