"""Which models of a route are asked, in which order, what one call may cost, and what it comes to when none answers.

Pure: the world is in the arguments.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flotilla.errors import FlotillaError, LimitedError, ParkedError, RetryableError
from flotilla.llm.declaration import Model, Price, Route, quality_level
from flotilla.llm_ports import ModelReply, ModelRequest, ModelUnavailableError
from flotilla.primitives.parking import unaided_seconds

FRUGAL = "frugal"
"""Why another model served: a budget is nearly spent, and that one is cheaper."""

_PER_MILLION = 1_000_000
_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 8
_MOST_PER_MESSAGE = 16
_MOST_OF_INSTRUCTIONS = 1024
"""What a provider says to the model itself about tools, or about the form of the answer."""


def estimated_input_tokens(request: ModelRequest) -> int:
    """About how many tokens a request has; rather too many than too few.

    Tokenizers make a token of about four letters of English, and of fewer of other languages and of JSON.
    """
    return -(-_letters(request) // _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE * (len(request.messages) + 1)


def most_input_tokens(request: ModelRequest) -> int:
    """How many tokens a request has at most: a token is a byte at least, however a model divides text.

    What money is reserved by. A cap is exceeded by what calls cost beyond their reservations, so these are bounds.
    """
    instructed = _MOST_OF_INSTRUCTIONS if request.tools or request.output is not None else 0
    return _letters(request) + _MOST_PER_MESSAGE * (len(request.messages) + 1) + instructed


def _letters(request: ModelRequest) -> int:
    """Bytes of all that the model is to read."""
    parts = [request.system or ""]
    for message in request.messages:
        parts.append(message.text)
        parts += [call.id + call.name + json.dumps(dict(call.input), default=str) for call in message.tool_calls]
        parts += [result.id + _text(result.content) for result in message.tool_results]
    parts += [tool.name + tool.description + json.dumps(dict(tool.input_schema)) for tool in request.tools]
    if request.output is not None:
        parts.append(json.dumps(dict(request.output.schema)))
    return sum(len(part.encode(errors="replace")) for part in parts)


def _text(content: object) -> str:
    return content if isinstance(content, str) else json.dumps(content, default=str)


def most_cost_micros(price: Price, input_tokens: int, max_tokens: int) -> int:
    """What a call costs at most, in millionths of a dollar, if it has that many tokens."""
    return -(-(input_tokens * max(price.input, price.cached_input) + max_tokens * price.output) // _PER_MILLION)


def cost_micros(price: Price, reply: ModelReply) -> int:
    """What an answer costs, in millionths of a dollar, rounded up."""
    cached = min(reply.cached_input_tokens, reply.input_tokens)
    asked = (reply.input_tokens - cached) * price.input + cached * price.cached_input
    return -(-(asked + reply.output_tokens * price.output) // _PER_MILLION)


def eligible(route: Route, quality: str | None) -> list[Model]:
    """The models of a route that are good enough, the preferred one first.

    Args:
        route: The route.
        quality: What the caller asks; the route's own least holds besides.

    Raises:
        PermanentError: There is no such quality.
    """
    least = max(quality_level(route.quality), quality_level(quality or route.quality))
    return [model for model in route.models if quality_level(model.quality) >= least]


def cheapest_first(models: Sequence[Model], input_tokens: int, max_tokens: int) -> list[Model]:
    """The same models in the order of what the call costs with each; in their own order where that is the same."""
    return sorted(models, key=lambda model: most_cost_micros(model.price, input_tokens, max_tokens))


def larger(models: Sequence[Model], than: Model) -> list[Model]:
    """Those that surely take longer conversations than one that refused because of the length."""
    return [
        model
        for model in models
        if than.context_tokens is not None
        and model.context_tokens is not None
        and model.context_tokens > than.context_tokens
    ]


@dataclass(frozen=True, slots=True)
class Miss:
    """A model that did not serve.

    Attributes:
        model: Its name.
        error: Why.
        hurried: It had so little time that it says more about who gave it so little.
    """

    model: str
    error: FlotillaError
    hurried: bool = False

    @property
    def why(self) -> str:
        """The code of what kept it from it."""
        return self.error.code


def worth_another_round(misses: Sequence[Miss]) -> bool:
    """Whether trying a round's models again soon may help: one of them really failed."""
    return bool(failed(misses))


def failed(misses: Sequence[Miss]) -> list[Miss]:
    """Those that were asked and gave no answer."""
    return [miss for miss in misses if isinstance(miss.error, ModelUnavailableError)]


def none_served(route: str, misses: Sequence[Miss], *, others_do_better: bool, waits: int = 0) -> FlotillaError:
    """What a call raises that no model served.

    A model that failed may fail because of what it was asked: that counts against the attempt where it serves others
    meanwhile. Else it is nobody's fault, and the task waits, longer each time. Where all were held back, it waits until
    the first of them may be asked again.

    Args:
        route: Name of the route.
        misses: Each model's newest.
        others_do_better: One that failed is known to have served others since the task failed before.
        waits: How often the task was put aside before.
    """
    if found := failed(misses):
        message = f"no model of route {route} answered; {found[0].model}: {found[0].error.message}"
        if others_do_better or all(miss.hurried for miss in found):
            return RetryableError(message, code=found[0].why)
        return ParkedError(message, code=found[0].why, retry_after_seconds=unaided_seconds(waits))
    first = min(misses, key=lambda miss: _wait_seconds(miss.error))
    message = f"no model of route {route} can be called now; {first.model}: {first.error.message}"
    seconds = _wait_seconds(first.error)
    if isinstance(first.error, LimitedError):
        return LimitedError(message, limit=first.error.limit, code=first.why, retry_after_seconds=seconds)
    return ParkedError(message, code=first.why, retry_after_seconds=seconds)


_UNSAID_SECONDS = 10.0
"""How long to wait for what does not say how long: a key that is wrong, a model that one has no access to."""


def _wait_seconds(error: FlotillaError) -> float:
    if isinstance(error, ParkedError):
        return error.retry_after_seconds
    asked = error.retry_after_seconds if isinstance(error, RetryableError) else None
    return _UNSAID_SECONDS if asked is None else asked


def counted(reply: ModelReply, input_tokens: int) -> ModelReply:
    """The answer with tokens to count: by estimate where its provider says nothing of them.

    Args:
        reply: The answer.
        input_tokens: What was estimated of the request.
    """
    if reply.input_tokens or reply.output_tokens:
        return reply
    answered = len(reply.text.encode(errors="replace"))
    answered += sum(len(json.dumps(dict(call.input), default=str)) for call in reply.tool_calls)
    return replace(reply, input_tokens=input_tokens, output_tokens=max(1, answered // _BYTES_PER_TOKEN))
