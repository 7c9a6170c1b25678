from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from functions.worker.agents.document_set import manifest
from functions.worker.agents.document_text.classification import classify
from functions.worker.agents.document_text.extraction import extract
from functions.worker.agents.loop import MOST_CALLS
from tests.e2e.definitions import test_agent_loop, test_approval, test_document_analysis, test_saga
from tests.e2e.definitions.agents import SHIPPED, checked
from tests.e2e.definitions.stage import DEFINITIONS, Order, Stage, definition, definition_files

INPUTS: dict[str, list[Any]] = {
    "document-analysis": [
        test_document_analysis.INPUT,
        {
            "manifest": {"key": "workflows/inputs/acme/all.jsonl"},
            "concurrency": 1000,
            "tolerated_failure_percentage": 0,
        },
        {"documents": [{"id": "a", "name": "A", "key": "k"}], "summary_sentences": 10, "route": "fast"},
    ],
    "approval": [test_approval.INPUT, {"propose": {"agent": "a", "input": None}, "act": {"agent": "b", "input": 1}}],
    "agent-loop": [test_agent_loop.INPUT, {"goal": "x", "tools": []}],
    "saga": [{"steps": test_saga.STEPS}],
}

WRONG: dict[str, list[Any]] = {
    "document-analysis": [
        {},
        {"documents": []},
        {"documents": [{"id": "a"}]},
        {"documents": [{"id": "a", "text": "", "key": "k"}]},
        {"documents": [{"id": "", "text": ""}]},
        {"documents": [{"id": "a", "text": ""}], "manifest": {"key": "k"}},
        {"manifest": {"key": "k", "bucket": "another"}},
        {"manifest": {"key": "k"}, "concurrency": 0},
        {"manifest": {"key": "k"}, "tolerated_failure_percentage": 101},
        {"manifest": {"key": "k"}, "summary_sentences": 11},
        {"manifest": {"key": "k"}, "more": 1},
    ],
    "approval": [
        {"propose": {"agent": "a", "input": 1}},
        {"propose": {"agent": "a"}, "act": {"agent": "b"}},
        {"propose": {"agent": "a", "input": 1}, "act": {"agent": "b"}, "timeout_seconds": 2_592_001},
        {"propose": {"agent": "a", "input": 1}, "act": {"agent": "b"}, "timeout_seconds": 0},
    ],
    "agent-loop": [
        {"goal": "x"},
        {"goal": "x", "tools": ["a"], "max_turns": 51},
        {"goal": "x", "tools": ["a", "a"]},
        {"goal": "x", "tools": ["a"], "max_seconds": 0},
    ],
    "saga": [
        {"steps": []},
        {"steps": [{"name": "a", "agent": "b"}]},
        {"steps": [{"name": "a b", "agent": "b", "input": 1}]},
        {"steps": [{"name": f"s{number}", "agent": "b", "input": 1} for number in range(51)]},
        {"steps": [{"name": "a", "agent": "b", "input": 1, "compensate": {}}]},
    ],
}


def validator(name: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(json.loads((DEFINITIONS / f"{name}.input.json").read_text("utf-8")))


def test_each_workflow_that_is_shipped_has_a_schema_of_its_input() -> None:
    there = {path.name.removesuffix(".asl.json") for path in definition_files()}
    assert sorted(INPUTS) == sorted(WRONG)
    assert there >= INPUTS.keys()


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_its_schema_takes_what_is_right_and_nothing_else(name: str) -> None:
    found = validator(name)
    assert [value for value in INPUTS[name] if not found.is_valid(value)] == []
    assert [value for value in WRONG[name] if found.is_valid(value)] == []


def test_the_first_agent_refuses_what_the_schema_refuses() -> None:
    adapter = SHIPPED["document.manifest"].input_adapter
    for value in INPUTS["document-analysis"]:
        adapter.validate_python(value)
    for value in WRONG["document-analysis"]:
        # That a list is empty is told from a manifest that is, by the same error.
        if value != {"documents": []}:
            with pytest.raises(ValueError, match="validation error"):
                adapter.validate_python(value)


def test_what_definitions_and_agents_agree_upon() -> None:
    analysis = (DEFINITIONS / "document-analysis.asl.json").read_text("utf-8")
    assert f"workflows/{{}}/{manifest.NAME}" in analysis
    assert f"$index < {MOST_CALLS}" in (DEFINITIONS / "agent-loop.asl.json").read_text("utf-8")


def test_the_agents_for_documents_are_asked_for_what_they_take(stage: Stage) -> None:
    class Real(test_document_analysis.World):
        def extract(self, order: Order) -> Any:
            return extract(order.input["document"]["text"]).model_dump(mode="json")

        def classify(self, order: Order) -> Any:
            kind = classify(order.input["document"]["text"], None, [])
            return kind.model_dump(mode="json", include={"document_class", "score"}) | {"title": None, "evidence": []}

    ended = stage.run(definition("document-analysis"), test_document_analysis.INPUT, Real(stage))
    assert ended.error is None, ended.cause
    assert checked(ended.orders) == {name for name in SHIPPED if name.startswith("document.")}


def test_the_agents_for_approvals_and_loops_are_asked_for_what_they_take(stage: Stage) -> None:
    asked = stage.run(definition("approval"), test_approval.INPUT, test_approval.world())
    calls = test_agent_loop.world(test_agent_loop.calls("find", "delete"), test_agent_loop.ANSWER)
    planned = stage.run(definition("agent-loop"), test_agent_loop.INPUT | {"planner_input": {"route": "fast"}}, calls)
    assert checked([*asked.orders, *planned.orders]) == {"approval.ask", "loop.plan"}
