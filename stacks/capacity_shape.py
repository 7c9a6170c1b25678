"""What of the settings the arithmetic of capacity is done with."""

from __future__ import annotations

from capacity.fleet_shape import FleetShape, IntegrationShape, LaneLoad, LaneShape, ModelShape, ScalerShape
from stacks import model_settings
from stacks.background import reserved_concurrency
from stacks.idle_inventory import idle_of
from stacks.load_settings import Load
from stacks.model_settings import Model
from stacks.settings_model import Fleet, Lane

_MICROS = 1_000_000
RETENTION_MARGIN_DAYS = 14
"""How much longer than `retention.days` a log lies in the table: `flotilla.primitives.retention`."""


def shape_of(fleet: Fleet) -> FleetShape:
    """The fleet."""
    budgets = fleet.budgets
    tenant = fleet.limits.tenant
    return FleetShape(
        lanes={name: _lane(lane) for name, lane in fleet.lanes.items()},
        architecture=fleet.runtime.architecture,
        account_concurrency=fleet.runtime.account_concurrency,
        other_reserved=sum(reserved_concurrency(fleet).values()),
        api_rate_per_second=fleet.api.rate_per_second,
        api_memory_mb=fleet.api.memory_mb,
        background_memory_mb=fleet.background.memory_mb,
        tiers_seconds=fleet.delays.tiers_seconds,
        relay_concurrency=fleet.delays.maximum_concurrency,
        tenant_day_budget=budgets.tenant_day_usd is not None
        or any(each.tenant_day_usd is not None for each in budgets.tenants.values()),
        tenant_rate_per_minute=None if tenant is None else tenant.rate_per_minute,
        scaler=_scaler(fleet),
        notices=tuple(name for name in ("event_bus", "topic") if getattr(fleet.broadcast, name))
        if "succeeded" in fleet.broadcast.transitions
        else (),
        retention_days=fleet.retention.days + RETENTION_MARGIN_DAYS,
        models={name: _model(model) for name, model in fleet.models.items()},
        integrations={
            name: IntegrationShape(
                rate_per_minute=None if each.limit is None else each.limit.rate_per_minute,
                concurrency=each.concurrency,
            )
            for name, each in fleet.integrations.items()
        },
        idle=idle_of(fleet),
    )


def load_of(fleet: Fleet, lane: str, load: Load) -> LaneLoad:
    """What is declared of a lane. Where it names no model and there is but one, it is that."""
    named = load.model or (next(iter(fleet.models)) if len(fleet.models) == 1 else "")
    values = load.model_dump(exclude={"model"})
    return LaneLoad(lane=lane, model=named, **values)


def declared_loads(fleet: Fleet) -> list[LaneLoad]:
    """All that is declared, lane by lane."""
    return [load_of(fleet, name, load) for name, load in fleet.load.items() if name in fleet.lanes]


def _scaler(fleet: Fleet) -> ScalerShape | None:
    if not fleet.scaler.enabled:
        return None
    return ScalerShape(
        every_seconds=60.0 * fleet.scaler.every_minutes,
        raise_cooldown_seconds=fleet.scaler.raise_cooldown_seconds,
        lower_cooldown_seconds=fleet.scaler.lower_cooldown_seconds,
    )


def _lane(lane: Lane) -> LaneShape:
    return LaneShape(
        batch_size=lane.batch_size,
        maximum_concurrency=lane.maximum_concurrency,
        reserved_concurrency=lane.reserved_concurrency,
        memory_mb=lane.memory_mb,
        timeout_seconds=lane.timeout_seconds,
        visibility_seconds=lane.visibility_timeout_seconds,
        objective_seconds=lane.objective_seconds,
        minimum_concurrency=lane.minimum_concurrency,
        borrow_up_to=lane.borrow_up_to,
        provisioned_concurrency=lane.provisioned_concurrency,
    )


def _model(model: Model) -> ModelShape:
    price = model_settings.price_in_micros(model) or {"input": 0, "output": 0}
    return ModelShape(
        input_usd=price["input"] / _MICROS,
        output_usd=price["output"] / _MICROS,
        requests_per_minute=None if model.requests is None else model.requests.rate_per_minute,
        tokens_per_minute=None if model.tokens is None else model.tokens.rate_per_minute,
    )
