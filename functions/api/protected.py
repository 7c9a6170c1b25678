"""What is protected in this fleet, by name: circuits with their settings, and whatever can be limited."""

from __future__ import annotations

from flotilla.integrations.declaration import circuits_of, limits_of
from flotilla.integrations.declaration import deployed as deployed_integrations
from flotilla.limits.declaration import deployed as deployed_limits
from flotilla.llm.declaration import Model, protection_name
from flotilla.llm.declaration import deployed as deployed_routes
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.token_bucket import Limit


def circuits() -> dict[str, CircuitPolicy]:
    """The circuits that there are: of integrations and of models."""
    of_models = {protection_name(model.name): model.breaker for model in _models()}
    return circuits_of(deployed_integrations()) | {
        name: policy for name, policy in of_models.items() if policy is not None
    }


def limits() -> dict[str, Limit | None]:
    """What can be limited, with what is declared: submits, integrations, models."""
    found: dict[str, Limit | None] = dict(deployed_limits())
    found |= limits_of(deployed_integrations())
    for model in _models():
        name = protection_name(model.name)
        found |= {f"{name}.requests": model.requests, f"{name}.tokens": model.tokens}
    return found


def _models() -> list[Model]:
    return list({model.name: model for route in deployed_routes().values() for model in route.models}.values())
