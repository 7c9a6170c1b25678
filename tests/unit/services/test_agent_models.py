"""What an agent's schemas promise its clients is what its tasks take and answer."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from flotilla.models import Status
from tests.unit.services import modelled_agents
from tests.unit.services.fleet import Fleet, run

STRICT = {
    "when": "2026-01-02T03:04:05Z",
    "colour": "red",
    "id": "00000000-0000-0000-0000-000000000007",
    "pair": [1, 2],
}


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(modelled_agents.ALL)


@pytest.mark.parametrize(
    ("agent", "value"), [("modelled.strict", STRICT), ("modelled.named", {"fullName": "Ada Lovelace"})]
)
def test_what_fits_the_input_schema_is_taken_and_the_output_fits_its_own(
    fleet: Fleet, agent: str, value: dict[str, Any]
) -> None:
    spec = fleet.catalog.get(agent)
    jsonschema_rs.validate(spec.input_schema, value)
    task = run(fleet.submit(agent, value)).state.task_id
    run(fleet.deliver(fleet.delivery(task)))
    state = run(fleet.state(task))
    assert state.status is Status.SUCCEEDED, state.error
    jsonschema_rs.validate(spec.output_schema, state.output.inline)


def test_an_output_has_the_names_that_its_schema_gives_it(fleet: Fleet) -> None:
    task = run(fleet.submit("modelled.named", {"fullName": "Ada Lovelace"})).state.task_id
    run(fleet.deliver(fleet.delivery(task)))
    names = set(fleet.catalog.get("modelled.named").output_schema["properties"])
    assert set(run(fleet.state(task)).output.inline) == names == {"shortName", "when", "length"}
