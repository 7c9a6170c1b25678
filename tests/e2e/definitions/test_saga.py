from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.definitions.stage import Answer, Done, Ended, Failed, Order, Script, Stage, definition, hurried
from tests.e2e.definitions.table import ANY_OTHER, CANCELLED, TIMEOUT, UNREACHABLE, Goes, Way, met, ways

SAGA = definition("saga")

STEPS: list[dict[str, Any]] = [
    {"name": "reserve", "agent": "stock.reserve", "input": {"sku": 1}, "compensate": {"agent": "stock.release"}},
    {"name": "note", "agent": "log.note", "input": {"text": "reserved"}, "compensate": None},
    {
        "name": "charge",
        "agent": "card.charge",
        "input": {"cents": 5},
        "compensate": {"agent": "card.refund", "input": {"all": True}},
    },
    {"name": "ship", "agent": "parcel.ship", "input": {}},
]

TABLE: dict[Way, Goes] = {
    ("Named", "to StepsRefused"): Goes("StepsRefused", "StepsRefused"),
    ("Named", "to More"): Goes("More"),
    ("More", "to Do"): Goes("Do"),
    ("More", "to AllDone"): Goes("AllDone"),
    **{("Do", error): Goes("Undo", "SagaCompensated") for error in (TIMEOUT, ANY_OTHER, CANCELLED, UNREACHABLE)},
    ("Undo", "to Compensate"): Goes("Compensate", "SagaCompensated"),
    ("Undo", "to NothingToUndo"): Goes("NothingToUndo", "SagaCompensated"),
    ("Undo", "to Undone"): Goes("Undone", "SagaCompensated"),
    # The other step that was done is undone all the same, so the state asks twice.
    **{
        ("Compensate", error): Goes("Undo", "SagaIncomplete", asked=2)
        for error in (TIMEOUT, ANY_OTHER, CANCELLED, UNREACHABLE)
    },
    ("Undone", "to SagaCompensated"): Goes("SagaCompensated", "SagaCompensated"),
    ("Undone", "to SagaIncomplete"): Goes("SagaIncomplete", "SagaIncomplete"),
}


def world(*failing: str) -> Script:
    """Agents that answer with their own names, save for those that fail."""

    def answer(order: Order) -> Answer:
        return Failed("sold_out", "none is left") if order.agent in failing else Done({"by": order.agent})

    return answer


def agents(ended: Ended) -> list[str]:
    return [order.agent for order in ended.orders]


def test_every_error_of_every_state_has_a_row() -> None:
    assert set(TABLE) == ways(SAGA)


def test_errors_of_tasks_lead_where_the_table_says(stage: Stage) -> None:
    def all_but_shipping(order: Order) -> Answer:
        return world("parcel.ship")(order)

    doing = {way: goes for way, goes in TABLE.items() if way[0] == "Do"}
    undoing = {way: goes for way, goes in TABLE.items() if way[0] == "Compensate"}
    found = met(stage, SAGA, {"steps": STEPS}, world(), doing)
    found |= met(stage, SAGA, {"steps": STEPS}, all_but_shipping, undoing)
    assert {
        way: Goes(_second(ended, way[0]), ended.error, len(ended.asked(way[0]))) for way, ended in found.items()
    } == (doing | undoing)


def _second(ended: Ended, state: str) -> str:
    return ended.path[ended.path.index(state) + 1]


@pytest.mark.parametrize(("state", "target"), [way for way in TABLE if way[1].startswith("to ")])
def test_choices_lead_where_the_table_says(stage: Stage, state: str, target: str) -> None:
    value = {"steps": [STEPS[0], STEPS[0]] if target == "to StepsRefused" else STEPS}
    failing = {
        "to SagaIncomplete": ("parcel.ship", "stock.release"),
        "to AllDone": (),
        "to Do": (),
        "to More": (),
        "to StepsRefused": (),
    }.get(target, ("parcel.ship",))
    ended = stage.run(hurried(SAGA), value, world(*failing))
    expected = TABLE[state, target]
    assert (state, expected.to) in zip(ended.path, ended.path[1:], strict=False)
    assert ended.error == expected.end


def test_steps_are_done_in_order_and_their_outputs_told_by_name(stage: Stage) -> None:
    ended = stage.run(SAGA, {"steps": STEPS}, world())
    assert agents(ended) == ["stock.reserve", "log.note", "card.charge", "parcel.ship"]
    assert [order.input for order in ended.orders] == [step["input"] for step in STEPS]
    assert ended.output == {
        "outputs": {step["name"]: {"by": step["agent"]} for step in STEPS},
        "tasks": {step["name"]: order.task_id for step, order in zip(STEPS, ended.orders, strict=True)},
    }


@pytest.mark.parametrize("at", range(len(STEPS)))
def test_a_failure_undoes_exactly_the_steps_done_the_last_one_first(stage: Stage, at: int) -> None:
    ended = stage.run(SAGA, {"steps": STEPS}, world(STEPS[at]["agent"]))
    done = STEPS[:at]
    undone = [step for step in reversed(done) if step.get("compensate")]
    assert agents(ended) == [step["agent"] for step in STEPS[: at + 1]] + [
        step["compensate"]["agent"] for step in undone
    ]
    assert ended.error == "SagaCompensated"
    failed = ended.asked("Do")[-1]
    assert ended.told == {
        "failed": {
            "step": STEPS[at]["name"],
            "error": "sold_out",
            "task_id": failed.task_id,
            "message": "none is left",
        },
        "compensated": [
            {"step": step["name"], "task_id": order.task_id}
            for step, order in zip(undone, ended.asked("Compensate"), strict=True)
        ],
        "not_compensated": [],
    }


def test_a_compensation_gets_input_output_and_reason_unless_it_has_an_input_of_its_own(stage: Stage) -> None:
    ended = stage.run(SAGA, {"steps": STEPS}, world("parcel.ship"))
    charge, reserve = ended.asked("Compensate")
    assert charge.input == {"all": True}
    assert reserve.input == {
        "input": {"sku": 1},
        "output": {"by": "stock.reserve"},
        "reason": ended.told["failed"],
    }


def test_a_compensation_that_fails_is_told_and_the_others_go_on(stage: Stage) -> None:
    ended = stage.run(SAGA, {"steps": STEPS}, world("parcel.ship", "card.refund"))
    assert agents(ended)[-2:] == ["card.refund", "stock.release"]
    assert ended.error == "SagaIncomplete"
    refund, release = ended.asked("Compensate")
    assert ended.told["compensated"] == [{"step": "reserve", "task_id": release.task_id}]
    assert ended.told["not_compensated"] == [
        {"step": "charge", "error": "sold_out", "task_id": refund.task_id, "message": "none is left"}
    ]


def test_outputs_that_are_too_large_together_are_told_by_reference(stage: Stage) -> None:
    def answer(order: Order) -> Answer:
        return Done("x" * 14_000)

    steps = [{"name": f"step-{number}", "agent": "text.write", "input": number} for number in range(50)]
    ended = stage.run(SAGA, {"steps": steps}, answer)
    outputs = ended.output["outputs"]
    assert outputs["step-0"] == "x" * 14_000
    assert outputs["step-49"] == {"$task_output": ended.orders[-1].task_id}


def test_one_step_is_a_saga_too(stage: Stage) -> None:
    ended = stage.run(SAGA, {"steps": STEPS[:1]}, world())
    assert ended.output["outputs"] == {"reserve": {"by": "stock.reserve"}}
