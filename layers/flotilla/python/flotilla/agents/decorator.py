"""The decorator that makes a typed function an agent.

The function's own annotations are its contract: the first parameter's type is the input, the
return type the output, both anything pydantic can validate. They are resolved when the agent is
first needed, not at import.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter

from flotilla.agents.catalog import AgentSpec, OnOpen

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "__flotilla_agent__"
_ERROR = re.compile(r"(?!States\.)[A-Za-z][A-Za-z0-9_.-]{0,63}")
"""What begins with `States.` is Step Functions' own; and a longer code would be cut (`services.verdict`)."""

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class AgentDefinition:
    """A decorated function and what its decorator said.

    Raises:
        TypeError: (on first use of an adapter) the function's signature is not an agent's.
    """

    name: str
    version: str
    function: Callable[..., Any]
    timeout_seconds: float
    max_attempts: int
    lane: str | None
    integrations: tuple[str, ...]
    cache_ttl_seconds: int | None
    backoff_base_seconds: float
    backoff_cap_seconds: float
    on_open: OnOpen = "park"
    routes: tuple[str, ...] = ()
    budget_usd: float | None = None
    errors: tuple[str, ...] = ()

    @property
    def is_async(self) -> bool:
        """Runs on the event loop."""
        return inspect.iscoroutinefunction(self.function)

    @cached_property
    def input_adapter(self) -> TypeAdapter[Any]:
        """Validates the input."""
        return TypeAdapter(self._types[0])

    @cached_property
    def output_adapter(self) -> TypeAdapter[Any]:
        """Validates the output."""
        return TypeAdapter(self._types[1])

    @cached_property
    def _types(self) -> tuple[Any, Any]:
        signature = inspect.signature(self.function).parameters
        parameters = [name for name, found in signature.items() if found.kind in _BY_POSITION]
        hints = get_type_hints(self.function, include_extras=True)
        misshapen = len(signature) != 2 or len(parameters) != 2
        if misshapen or parameters[0] not in hints or "return" not in hints:
            raise TypeError(
                f"agent {self.name!r}: write it as "
                f"`def {self.function.__name__}(task: Input, ctx: Context) -> Output`, "
                "with the input's and the return type annotated"
            )
        return hints[parameters[0]], hints["return"]

    def spec(self) -> AgentSpec:
        """What the manifest says of it."""
        return AgentSpec(
            name=self.name,
            version=self.version,
            module=self.function.__module__,
            function=self.function.__name__,
            is_async=self.is_async,
            lane=self.lane,
            timeout_seconds=self.timeout_seconds,
            max_attempts=self.max_attempts,
            backoff_base_seconds=self.backoff_base_seconds,
            backoff_cap_seconds=self.backoff_cap_seconds,
            integrations=self.integrations,
            cache_ttl_seconds=self.cache_ttl_seconds,
            input_schema=self.input_adapter.json_schema(mode="validation"),
            output_schema=self.output_adapter.json_schema(mode="serialization"),
            on_open=self.on_open,
            budget_usd=self.budget_usd,
            routes=self.routes,
            errors=self.errors,
        )


def agent(
    name: str,
    *,
    version: str = "1",
    timeout_seconds: float = 60.0,
    max_attempts: int = 4,
    lane: str | None = None,
    integrations: Sequence[str] = (),
    cache_ttl_seconds: int | None = None,
    backoff_base_seconds: float = 1.0,
    backoff_cap_seconds: float = 300.0,
    on_open: OnOpen = "park",
    budget_usd: float | None = None,
    routes: Sequence[str] = (),
    errors: Sequence[str] = (),
) -> Callable[[F], F]:
    """Make a function an agent.

    Args:
        name: What clients call it, dotted lower case, e.g. `document.summarize`.
        version: Recorded with every attempt.
        timeout_seconds: Longest one attempt may take; an async agent is cancelled then.
        max_attempts: Attempts before the task is dead-lettered, the first included.
        lane: Default lane; None takes the fleet's.
        integrations: Names of the integrations it calls, as fleet.toml has them; `*` for all.
        cache_ttl_seconds: How long a result may answer tasks of the same tenant with the same input, which then
            are not run; None never. The result must depend on nothing but the input: not on the session, say.
        backoff_base_seconds: Upper bound of the wait after the first failure.
        backoff_cap_seconds: Upper bound of every wait.
        on_open: What becomes of tasks submitted while an integration it calls, or every model of a route, is held back:
            `park`, they wait for it; `reject`, the API answers 503.
        routes: Names of the routes by which it calls models, as fleet.toml has them; `*` for all.
        budget_usd: What a task may cost in model calls, those of the tasks that it submits included, where its client
            does not say; None without bound.
        errors: Codes of the `PermanentError`s that it raises on purpose. States of workflows may name them, in `Retry`
            and `Catch`, beside Flotilla's own (`flotilla.workflows.errors`).

    Raises:
        ValueError: A bound is not positive, `on_open` is neither, or no state could name an error.
    """
    if timeout_seconds <= 0 or max_attempts < 1 or backoff_base_seconds < 0 or backoff_cap_seconds < 0:
        raise ValueError(f"agent {name!r}: timeout_seconds > 0, max_attempts >= 1, backoff >= 0")
    if cache_ttl_seconds is not None and cache_ttl_seconds < 1:
        raise ValueError(f"agent {name!r}: cache_ttl_seconds >= 1, or None")
    if budget_usd is not None and budget_usd <= 0:
        raise ValueError(f"agent {name!r}: budget_usd > 0, or None")
    if on_open not in ("park", "reject"):
        raise ValueError(f"agent {name!r}: on_open is 'park' or 'reject'")
    if isinstance(errors, str) or not all(_ERROR.fullmatch(error) for error in errors):
        raise ValueError(f"agent {name!r}: errors are a list of codes such as 'document_unreadable'")

    def decorate(function: F) -> F:
        definition = AgentDefinition(
            name=name,
            version=version,
            function=function,
            timeout_seconds=timeout_seconds,
            max_attempts=max_attempts,
            lane=lane,
            integrations=tuple(integrations),
            cache_ttl_seconds=cache_ttl_seconds,
            backoff_base_seconds=backoff_base_seconds,
            backoff_cap_seconds=backoff_cap_seconds,
            on_open=on_open,
            budget_usd=budget_usd,
            routes=tuple(routes),
            errors=tuple(errors),
        )
        setattr(function, _ATTRIBUTE, definition)
        return function

    return decorate


def definition_of(candidate: object) -> AgentDefinition | None:
    """The definition of a decorated function; None of anything else."""
    found = getattr(candidate, _ATTRIBUTE, None)
    return found if isinstance(found, AgentDefinition) else None
