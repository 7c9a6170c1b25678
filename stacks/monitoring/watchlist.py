"""All that a fleet has an alarm for, and which of it wakes people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacks.monitoring import engine_room_symptoms, work_symptoms
from stacks.monitoring.lane_symptoms import late_lanes, urgent
from stacks.monitoring.symptoms import Symptom, Together
from stacks.settings_model import Fleet


def watchlist(fleet: Fleet, *, api_id: str, machines: Mapping[str, str]) -> tuple[Symptom | Together, ...]:
    """Every symptom of a fleet, the one that pages last.

    Args:
        fleet: The settings.
        api_id: Of the HTTP API.
        machines: ARNs of the workflows' state machines.
    """
    found = tuple(_all(fleet, api_id, dict(machines)))
    paging = tuple((each.key,) for each in found if each.told == "pages")
    page = Together(
        name="page",
        means="Somebody has to look at it now.",
        runbook="alarms.md#page",
        any_of=(*urgent(fleet), *paging),
        told="pages",
    )
    return (*found, page)


def _all(fleet: Fleet, api_id: str, machines: dict[str, str]) -> Iterator[Symptom | Together]:
    yield from late_lanes(fleet)
    yield from work_symptoms.dead_letters(fleet)
    yield from work_symptoms.front_door(fleet, api_id)
    yield from work_symptoms.workflows(fleet, machines)
    yield from work_symptoms.protection(fleet)
    yield from engine_room_symptoms.functions(fleet)
    yield from engine_room_symptoms.schedules(fleet)
    yield from engine_room_symptoms.streams(fleet)
    yield from engine_room_symptoms.failure_queues(fleet)
    yield from engine_room_symptoms.tables(fleet)
