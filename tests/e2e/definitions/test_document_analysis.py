from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.e2e.definitions.stage import (
    BUCKET,
    Answer,
    Done,
    Ended,
    Failed,
    Order,
    Running,
    Script,
    Stage,
    definition,
    hurried,
    load_lines,
)
from tests.e2e.definitions.table import (
    ANOTHER,
    ANY_OTHER,
    CANCELLED,
    TIMEOUT,
    UNREACHABLE,
    Goes,
    Way,
    failing,
    met,
    ways,
)

ANALYSIS = definition("document-analysis")

_ALWAYS = (TIMEOUT, ANY_OTHER, CANCELLED)
_LANE = (UNREACHABLE, "SQS.SdkClientException")

TABLE: dict[Way, Goes] = {
    **{("Manifest", error): Goes("ManifestFailed", "ManifestFailed") for error in _ALWAYS},
    **{("Manifest", error): Goes("ManifestFailed", "ManifestFailed", asked=7) for error in _LANE},
    **{
        ("Manifest", error): Goes("ManifestRefused", "ManifestRefused")
        for error in ("invalid_input", "invalid_manifest", "manifest_missing")
    },
    ("Analyze", "States.ItemReaderFailed"): Goes("ManifestUnreadable", "ManifestUnreadable"),
    ("Analyze", "States.ExceedToleratedFailureThreshold"): Goes("TooManyDocumentsLost", "TooManyDocumentsFailed"),
    ("Analyze", "States.ResultWriterFailed"): Goes("ResultsNotWritten", "ResultsNotWritten"),
    ("Analyze", ANOTHER): Goes("AnalysisFailed", "AnalysisFailed"),
    # A document that fails is a result; the run goes on.
    **{(step, error): Goes("DocumentFailed") for step in ("Extract", "Classify", "Summarize") for error in _ALWAYS},
    **{
        (step, error): Goes("DocumentFailed", asked=7)
        for step in ("Extract", "Classify", "Summarize")
        for error in _LANE
    },
    **{("Report", error): Goes("ReportFailed", "ReportFailed") for error in _ALWAYS},
    **{("Report", error): Goes("ReportFailed", "ReportFailed", asked=7) for error in _LANE},
    ("Tolerable", "to TooManyDocumentsFailed"): Goes("TooManyDocumentsFailed", "TooManyDocumentsFailed"),
    ("Tolerable", "to Reported"): Goes("Reported"),
}

INPUT = {"documents": [{"id": "a", "text": "A."}]}


def report(*, failed: int = 0, total: int = 2) -> dict[str, Any]:
    return {"total": total, "done": total - failed, "failed": failed, "files": {"report": "workflows/r/report.jsonl"}}


class World:
    """The agents. The manifest's writes what the map reads, as the real one does."""

    def __init__(self, stage: Stage, documents: tuple[str, ...] = ("a", "b"), **said: Any) -> None:
        self._stage = stage
        self._documents = documents
        self._said = said

    def __call__(self, order: Order) -> Answer:
        found = getattr(self, order.state.lower())(order)
        return found if isinstance(found, Failed) else Done(found)

    def manifest(self, order: Order) -> Any:
        lines = [json.dumps({"id": name, "text": f"Text of {name}."}) for name in self._documents]
        key = f"workflows/{order.run}/manifest.jsonl"
        if self._documents:
            self._stage.write(key, "\n".join(lines) + "\n")
        said = {"concurrency": 4, "tolerated_failure_percentage": 50, "summary": {"sentences": 2, "route": None}}
        return {"key": key, "documents": len(lines), "duplicates": 0, **said, **self._said}

    def extract(self, order: Order) -> Any:
        return {"title": order.input["document"]["id"].upper()}

    def classify(self, order: Order) -> Any:
        return {"document_class": "report", "score": 0.5, "title": order.input["extraction"]["title"], "evidence": []}

    def summarize(self, order: Order) -> Any:
        return {"summary": f"Summary of {order.input['document']['id']}.", "route": None}

    def report(self, order: Order) -> Any:
        return report()


def results(stage: Stage, ended: Ended) -> dict[str, dict[str, Any]]:
    """What the map left in S3, by document."""
    (asked,) = ended.asked("Report")
    manifest = json.loads(stage.read(asked.input["results"]))
    assert manifest["DestinationBucket"] == BUCKET
    lines = [
        line
        for files in manifest["ResultFiles"].values()
        for file in files
        for line in load_lines(stage.read(file["Key"]))
    ]
    lost = [line for line in lines if "id" not in line]
    assert not lost, lost
    return {line["id"]: line for line in lines}


def test_every_error_of_every_state_has_a_row() -> None:
    assert set(TABLE) == ways(ANALYSIS)


def test_errors_of_tasks_outside_of_the_map_lead_where_the_table_says(stage: Stage) -> None:
    expected = {way: goes for way, goes in TABLE.items() if way[0] in ("Manifest", "Report")}
    found = met(stage, ANALYSIS, INPUT, World(stage), expected)
    assert {
        way: Goes(str(ended.after(way[0])), ended.error, len(ended.asked(way[0]))) for way, ended in found.items()
    } == expected
    for (state, error), ended in found.items():
        assert (ended.told["step"], ended.told["error"]) == (state, error)
        assert error == TIMEOUT or ended.told["task_id"] == ended.asked(state)[-1].task_id


def test_errors_of_a_document_are_its_result_and_none_of_the_others(stage: Stage) -> None:
    expected = {way: goes for way, goes in TABLE.items() if way[0] in ("Extract", "Classify", "Summarize")}
    started: dict[Way, Running] = {}
    for state, error in expected:
        script = _failing_for("b", World(stage), state, error)
        machine = hurried(ANALYSIS, impatient=state if error == TIMEOUT else None)
        started[state, error] = stage.start(machine, INPUT, script)
    for (state, error), running in started.items():
        ended = stage.finish(running)
        assert ended.error is None, (state, error, ended.cause)
        told = results(stage, ended)
        assert told["a"]["status"] == "done"
        assert (told["b"]["status"], told["b"]["step"], told["b"]["error"]) == ("failed", state, error)
        asked = [order for order in ended.asked(state) if order.input["document"]["id"] == "b"]
        assert len(asked) == expected[state, error].asked
        assert told["b"].get("task_id") == (None if error == TIMEOUT else asked[-1].task_id)


def _failing_for(document: str, script: Script, state: str, error: str) -> Script:
    fails = failing(script, state, error)

    def answer(order: Order) -> Answer:
        its = order.state != state or order.input["document"]["id"] == document
        return fails(order) if its else script(order)

    return answer


@pytest.mark.parametrize("error", [error for state, error in TABLE if state == "Analyze"])
def test_errors_of_the_map_lead_where_the_table_says(stage: Stage, error: str) -> None:
    machine, script = copy.deepcopy(ANALYSIS), World(stage)
    analyze = machine["States"]["Analyze"]
    if error == "States.ItemReaderFailed":
        script = World(stage, documents=())
    elif error == ANOTHER:
        # Whatever no catcher names: here what one catcher less does not name.
        analyze["Catch"] = [rule for rule in analyze["Catch"] if "States.ItemReaderFailed" not in rule["ErrorEquals"]]
        script = World(stage, documents=())
    elif error == "States.ResultWriterFailed":
        analyze["ResultWriter"]["Parameters"]["Bucket"] = "no-such-bucket"
    else:
        script = Dying(stage)
    ended = stage.run(hurried(machine), INPUT, script)
    assert Goes(str(ended.after("Analyze")), ended.error) == TABLE["Analyze", error]
    assert ended.told["step"] == "Analyze"


class Dying(World):
    """A world in which the executions for documents fail as a whole: over an answer that is none."""

    def extract(self, order: Order) -> Any:
        return Failed("odd", cause="{no JSON")


def test_an_execution_that_failed_as_a_whole_is_among_the_results(stage: Stage) -> None:
    ended = stage.run(hurried(ANALYSIS), INPUT, Dying(stage, tolerated_failure_percentage=100))
    (asked,) = ended.asked("Report")
    files = json.loads(stage.read(asked.input["results"]))["ResultFiles"]
    (file,) = files["FAILED"]
    lost = load_lines(stage.read(file["Key"]))
    assert {json.loads(each["Input"])["document"]["id"] for each in lost} == {"a", "b"}
    assert {each["Error"] for each in lost} == {"States.QueryEvaluationError"}


@pytest.mark.parametrize(
    ("failed", "tolerated", "target"),
    [
        (1, 50, "to Reported"),
        (2, 50, "to TooManyDocumentsFailed"),
        (1, 0, "to TooManyDocumentsFailed"),
        (2, 100, "to Reported"),
    ],
)
def test_so_many_may_fail_and_no_more(stage: Stage, failed: int, tolerated: int, target: str) -> None:
    class Reporting(World):
        def report(self, order: Order) -> Any:
            return report(failed=failed)

    ended = stage.run(ANALYSIS, INPUT, Reporting(stage, tolerated_failure_percentage=tolerated))
    assert Goes(str(ended.after("Tolerable")), ended.error) == TABLE["Tolerable", target]
    if ended.error is not None:
        assert ended.told == {
            "failed": failed,
            "total": 2,
            "tolerated_failure_percentage": tolerated,
            "report": "workflows/r/report.jsonl",
        }


def test_documents_are_extracted_classified_and_summarized_each_by_tasks_of_its_own(stage: Stage) -> None:
    ended = stage.run(ANALYSIS, INPUT, World(stage))
    told = results(stage, ended)
    for name in ("a", "b"):
        asked = {
            order.state: order
            for order in ended.orders
            if order.state in ("Extract", "Classify", "Summarize") and order.input["document"]["id"] == name
        }
        assert [order.agent for order in asked.values()] == [
            "document.extract",
            "document.classify",
            "document.summarize",
        ]
        assert asked["Classify"].input["extraction"] == {"title": name.upper()}
        assert (asked["Summarize"].input["sentences"], asked["Summarize"].input["route"]) == (2, None)
        assert told[name] == {
            "id": name,
            "status": "done",
            "class": "report",
            "score": 0.5,
            "title": name.upper(),
            "summary": f"Summary of {name}.",
            "tasks": {state.lower(): order.task_id for state, order in asked.items()},
        }
    assert ended.output == report()
    assert all(order.body["workflow"]["run"] == order.run for order in ended.orders)


def test_the_manifest_is_asked_for_what_the_run_was_given(stage: Stage) -> None:
    ended = stage.run(ANALYSIS, INPUT, World(stage))
    assert ended.orders[0].input == INPUT


def test_a_document_without_a_title_has_none(stage: Stage) -> None:
    class Untitled(World):
        def classify(self, order: Order) -> Any:
            return {"document_class": "other", "score": 1, "title": None, "evidence": []}

    assert results(stage, stage.run(ANALYSIS, INPUT, Untitled(stage)))["a"]["title"] is None


def test_no_more_documents_are_at_work_than_was_asked_for(stage: Stage) -> None:
    documents = tuple(f"d{number}" for number in range(12))
    ended = stage.run(ANALYSIS, INPUT, World(stage, documents, concurrency=1))
    assert set(results(stage, ended)) == set(documents)
    steps = [order.state for order in ended.orders if order.state not in ("Manifest", "Report")]
    assert steps == ["Extract", "Classify", "Summarize"] * len(documents)


def test_many_documents_at_once_are_all_done(stage: Stage) -> None:
    """A message that the engine loses is an answer that never comes; see `local.engine_stepfunctions`."""
    documents = tuple(f"d{number}" for number in range(200))
    told = results(stage, stage.run(ANALYSIS, INPUT, World(stage, documents, concurrency=100)))
    assert {name: result["status"] for name, result in told.items()} == dict.fromkeys(documents, "done")
