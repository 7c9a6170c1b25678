"""What a fleet has that costs something while nothing is done, counted off its settings.

The counts are those of the synthesized templates: a test compares them.
"""

from __future__ import annotations

from capacity.fleet_shape import Idle
from stacks.monitoring.symptoms import Symptom
from stacks.monitoring.watchlist import watchlist
from stacks.settings_model import Fleet

DASHBOARDS = 3

_RUN_SECONDS = {"reconciler": 0.3, "keeper": 1.0, "scaler": 0.3, "canary": 0.5, "rollup": 1.0}
"""How long a run takes in which there is nothing to do; roughly."""


def idle_of(fleet: Fleet) -> Idle:
    """The counts."""
    lanes, tiers = len(fleet.lanes), len(fleet.delays.tiers_seconds)
    schedules = {"reconciler": 1 / fleet.reconciler.every_minutes, "keeper": 1 / 1440, "rollup": 1 / 60}
    if fleet.scaler.enabled:
        schedules["scaler"] = 1 / fleet.scaler.every_minutes
    if fleet.canary.every_minutes:
        schedules["canary"] = 1 / fleet.canary.every_minutes
    symptoms = watchlist(fleet, api_id="", machines=dict.fromkeys(fleet.workflows, "")) if fleet.alarms.enabled else ()
    alarms = [each for each in symptoms if isinstance(each, Symptom)]
    gigabytes = fleet.background.memory_mb / 1024
    return Idle(
        # Of each lane its queue and its dead letters, of the ladder its tiers and theirs.
        polled_fifo_queues=2 * lanes + tiers + 1,
        polled_standard_queues=1,
        schedules=schedules,
        gigabyte_seconds={name: _RUN_SECONDS[name] * gigabytes for name in schedules},
        # CloudWatch it asks only while something waits.
        queue_calls={"scaler": lanes},
        canary_tasks_per_minute=lanes / fleet.canary.every_minutes if fleet.canary.every_minutes else 0.0,
        alarms=len(alarms),
        alarm_metrics=sum(len(each.readings) for each in alarms),
        composite_alarms=len(symptoms) - len(alarms),
        dashboards=DASHBOARDS if fleet.dashboards.enabled else 0,
        custom_metrics=_custom_metrics(fleet, lanes),
        # One signs the links by which people decide.
        secrets=1 + len(_secrets(fleet)),
        provisioned_gb=sum(lane.provisioned_concurrency * lane.memory_mb / 1024 for lane in fleet.lanes.values()),
    )


def _custom_metrics(fleet: Fleet, lanes: int) -> int:
    """Sets of dimensions that have data though no client asks for anything: of schedules, and of canaries.

    Canaries are counted apart from tasks: their ends and how long they took, and the batches that they come in; each
    of the fleet and of every lane.
    """
    of_schedules = 1 + fleet.scaler.enabled
    return of_schedules + (3 * (1 + lanes) if fleet.canary.every_minutes else 0)


def _secrets(fleet: Fleet) -> set[str]:
    models = {model.secret for model in fleet.models.values() if model.secret is not None}
    return models | {each.auth.secret for each in fleet.integrations.values() if each.auth is not None}
