"""`document.report`: what Step Functions left of many documents becomes one report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.worker.agents import document_workflow as agents
from tests.unit.agents.steps_of_a_run import StepsOfARun


@pytest.fixture
def steps() -> StepsOfARun:
    return StepsOfARun(agents.report)


def done(name: str, kind: str = "report") -> dict[str, Any]:
    tasks = {"extract": f"tsk_e{name}", "classify": f"tsk_c{name}", "summarize": f"tsk_s{name}"}
    return {"id": name, "status": "done", "class": kind, "score": 0.9, "title": None, "summary": "S.", "tasks": tasks}


def failed(name: str, error: str = "document_unreadable", **members: Any) -> dict[str, Any]:
    found = {"id": name, "status": "failed", "step": "Extract", "error": error, "task_id": f"tsk_{name}"}
    return found | {"message": "no text"} | members


def left(steps: StepsOfARun, manifest: list[str], **files: list[Any]) -> str:
    """Leave results as Step Functions does; the key of what tells of them."""
    prefix = f"workflows/{steps.header.run}"
    steps.put(f"{prefix}/manifest.jsonl", "".join(f'{{"id": {json.dumps(name)}, "text": ""}}\n' for name in manifest))
    groups: dict[str, list[Any]] = {"SUCCEEDED": [], "FAILED": [], "PENDING": []}
    for name, records in files.items():
        key = f"{prefix}/results/run-1/{name}.jsonl"
        steps.put(key, "".join(json.dumps(record) + "\n" for record in records))
        groups[name.split("_")[0]].append({"Key": key, "Size": 1})
    key = f"{prefix}/results/run-1/manifest.json"
    steps.put(key, json.dumps({"DestinationBucket": "b", "MapRunArn": "arn", "ResultFiles": groups}))
    return key


def reported(steps: StepsOfARun, key: str) -> tuple[Any, list[dict[str, Any]]]:
    """What the agent says, and the report's lines."""
    output = steps.step("document.report", {"results": key})
    if "error" in output:
        return output, []
    return output, [json.loads(line) for line in steps.file("report.jsonl").splitlines()]


def test_results_of_several_files_are_brought_into_the_order_of_the_manifest(steps: StepsOfARun) -> None:
    key = left(steps, ["c", "a", "b"], SUCCEEDED_0=[done("a"), done("b", "policy")], SUCCEEDED_1=[done("c")])
    output, lines = reported(steps, key)
    assert [line["id"] for line in lines] == ["c", "a", "b"]
    assert lines[1] == {name: value for name, value in done("a").items() if value is not None}
    assert (output["total"], output["done"], output["failed"]) == (3, 3, 0)
    assert output["classes"] == {"report": 2, "policy": 1}
    assert output["files"] == {
        "manifest": f"workflows/{steps.header.run}/manifest.jsonl",
        "report": f"workflows/{steps.header.run}/report.jsonl",
        "failures": None,
    }


def test_what_failed_is_told_with_its_task(steps: StepsOfARun) -> None:
    key = left(steps, ["a", "b", "c"], SUCCEEDED_0=[failed("b"), done("a"), failed("c", "agent_error")])
    output, lines = reported(steps, key)
    assert [line["status"] for line in lines] == ["done", "failed", "failed"]
    assert (output["done"], output["failed"]) == (1, 2)
    assert output["errors"] == {"document_unreadable": 1, "agent_error": 1}
    assert output["failures"][0] == {
        "id": "b",
        "step": "Extract",
        "error": "document_unreadable",
        "message": "no text",
        "task_id": "tsk_b",
    }
    failures = steps.file("failures.jsonl").splitlines()
    assert [json.loads(line)["id"] for line in failures] == ["b", "c"]


def test_an_execution_that_failed_as_a_whole_is_known_by_its_input(steps: StepsOfARun) -> None:
    whole = {
        "ExecutionArn": "arn",
        "Input": json.dumps({"document": {"id": "b", "text": ""}, "workflow": {}}),
        "Status": "FAILED",
        "Error": "States.Runtime",
        "Cause": "x" * 1000,
    }
    never = {"Input": {"document": {"id": "c"}}, "Status": "PENDING"}
    key = left(steps, ["a", "b", "c"], SUCCEEDED_0=[done("a")], FAILED_0=[whole], PENDING_0=[never])
    output, lines = reported(steps, key)
    assert lines[1] == {"id": "b", "status": "failed", "error": "States.Runtime", "message": "x" * 200}
    assert output["errors"] == {"States.Runtime": 1, "result_missing": 1}


def test_a_document_of_which_nothing_is_left_is_in_the_report_all_the_same(steps: StepsOfARun) -> None:
    key = left(steps, ["a", "b"], SUCCEEDED_0=[done("a")], FAILED_0=[{"Input": "no JSON"}, 7])
    _, lines = reported(steps, key)
    assert lines[1] == {"id": "b", "status": "failed", "error": "result_missing"}


def test_a_list_instead_of_lines_is_read_too(steps: StepsOfARun) -> None:
    key = left(steps, ["a"], SUCCEEDED_0=[])
    steps.put(f"workflows/{steps.header.run}/results/run-1/SUCCEEDED_0.jsonl", json.dumps([done("a")]))
    assert reported(steps, key)[1][0]["status"] == "done"


def test_what_is_told_fits_what_a_workflow_hands_on_however_many_failed(steps: StepsOfARun) -> None:
    names = [f"{number}-" + "ü" * 250 for number in range(300)]
    errors = [failed(name, f"error-{number}" + "x" * 100, message="ä" * 4000) for number, name in enumerate(names)]
    output, lines = reported(steps, left(steps, names, SUCCEEDED_0=errors))
    assert len(lines) == 300
    assert len(json.dumps(output, ensure_ascii=False).encode()) < 14_000
    assert 0 < len(output["failures"]) < 300
    assert output["failed"] == 300


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"ResultFiles": 7}', '{"ResultFiles": {"SUCCEEDED": [{}]}}', "{"])
def test_what_tells_of_no_results_is_refused(steps: StepsOfARun, content: str) -> None:
    key = left(steps, ["a"])
    steps.put(key, content)
    assert reported(steps, key)[0]["error"] == "results_unreadable"


@pytest.mark.parametrize("content", ["{", '{"id": "a"}', "7", '{"id": "a", "status": "lost"}'])
def test_results_that_are_none_are_refused(steps: StepsOfARun, content: str) -> None:
    key = left(steps, ["a"], SUCCEEDED_0=[])
    steps.put(f"workflows/{steps.header.run}/results/run-1/SUCCEEDED_0.jsonl", content)
    assert reported(steps, key)[0]["error"] == "results_unreadable"


def test_results_of_another_run_are_not_read(steps: StepsOfARun) -> None:
    key = left(steps, ["a"])
    assert reported(steps, key.replace(steps.header.run, "wfl_other"))[0]["error"] == "file_not_allowed"
