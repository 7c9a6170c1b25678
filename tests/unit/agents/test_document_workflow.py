"""The agents of `document-analysis`, each as a step of a run."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from functions.worker.agents import document_workflow as agents
from functions.worker.agents.document_set.models import INLINE_BYTES, MAX_TEXT_BYTES
from tests.unit.agents.steps_of_a_run import StepsOfARun

CORPUS = Path(__file__).resolve().parents[3] / "examples" / "documents"

LONG = "A sentence that goes on. " * 1000


@pytest.fixture
def steps() -> StepsOfARun:
    return StepsOfARun(
        agents.make_manifest,
        agents.extract_document,
        agents.classify_document,
        agents.summarize_document,
        agents.report,
    )


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_list_becomes_a_manifest_in_its_order(steps: StepsOfARun) -> None:
    documents = [{"id": f"d{number}", "text": f"Text {number}."} for number in (3, 1, 2)]
    output = steps.step("document.manifest", {"documents": documents, "summary_sentences": 2, "concurrency": 7})
    assert output == {
        "key": f"workflows/{steps.header.run}/manifest.jsonl",
        "documents": 3,
        "duplicates": 0,
        "concurrency": 7,
        "tolerated_failure_percentage": 10.0,
        "summary": {"sentences": 2, "route": None},
    }
    assert lines(steps.file("manifest.jsonl")) == documents


def test_a_text_that_is_too_long_for_a_message_lies_in_a_file_of_its_own(steps: StepsOfARun) -> None:
    steps.step("document.manifest", {"documents": [{"id": "short", "text": "A."}, {"id": "long", "text": LONG}]})
    short, long = lines(steps.file("manifest.jsonl"))
    assert short == {"id": "short", "text": "A."}
    assert long.keys() == {"id", "key"}
    assert steps.file(long["key"].split("/", 2)[2]) == LONG
    assert all(len(line) < 2 * INLINE_BYTES for line in steps.file("manifest.jsonl").splitlines())
    extracted = steps.step("document.extract", {"document": long})
    assert extracted["counts"]["characters"] == len(LONG)


def test_a_file_of_documents_is_read(steps: StepsOfARun) -> None:
    key = "workflows/inputs/acme/all.jsonl"
    steps.put(key, '{"id": "a", "text": "A."}\n\n{"id": "b", "key": "workflows/inputs/acme/b.txt"}\n')
    assert steps.step("document.manifest", {"manifest": {"key": key}})["documents"] == 2
    assert lines(steps.file("manifest.jsonl"))[1] == {"id": "b", "key": "workflows/inputs/acme/b.txt"}


def test_a_document_that_is_listed_again_counts_once(steps: StepsOfARun) -> None:
    document = {"id": "a", "text": "A."}
    output = steps.step("document.manifest", {"documents": [document, document, {"id": "b", "text": "A."}]})
    assert (output["documents"], output["duplicates"]) == (2, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "lists no document"),
        ("\n \n", "lists no document"),
        ("{", "line 1 is no JSON"),
        ('{"id": "a", "text": ""}\n[]', "line 2"),
        ('{"id": "", "text": ""}', "line 1, id"),
        ('{"id": "a"}', "either a text or a key"),
        ('{"id": "a", "text": "", "key": "k"}', "either a text or a key"),
        ('{"id": "a", "text": "", "more": 1}', "line 1, more"),
        ('{"id": "a", "text": "1"}\n{"id": "a", "text": "2"}', "two documents have the id 'a'"),
        ('{"id": "a", "text": "\\ud800"}', "of document 'a' is no text"),
        ('{"id": "\\ud800", "text": ""}', "line 1, id"),
        (json.dumps({"id": "a", "text": "x" * (MAX_TEXT_BYTES + 1)}), "more than 2097152 bytes"),
        (b"\xff\xfe", "line 1 is no JSON"),
    ],
)
def test_a_manifest_that_is_none_is_refused_with_the_reason(
    steps: StepsOfARun, content: str | bytes, said: str
) -> None:
    key = "workflows/inputs/acme/all.jsonl"
    steps.put(key, content)
    told = steps.step("document.manifest", {"manifest": {"key": key}})
    assert told["error"] == "invalid_manifest", told
    assert said in told["message"]


def test_too_many_documents_are_refused(steps: StepsOfARun, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "workflows/inputs/acme/all.jsonl"
    steps.put(key, "\n".join(f'{{"id": "{number}", "text": ""}}' for number in range(100_001)))
    told = steps.step("document.manifest", {"manifest": {"key": key}})
    assert (told["error"], "100000 documents" in told["message"]) == ("invalid_manifest", True)


@pytest.mark.parametrize(
    "key", ["workflows/inputs/acme/none.jsonl", "workflows/inputs/other/all.jsonl", "workflows/wfl_2/x", "../x"]
)
def test_a_manifest_that_cannot_be_read_is_missed(steps: StepsOfARun, key: str) -> None:
    steps.put("workflows/inputs/other/all.jsonl", '{"id": "a", "text": ""}')
    assert steps.step("document.manifest", {"manifest": {"key": key}})["error"] == "manifest_missing"


@pytest.mark.parametrize("value", [{}, {"documents": [], "manifest": {"key": "k"}}, {"documents": [{"id": "a"}]}])
def test_an_input_that_is_none_is_refused(steps: StepsOfARun, value: Any) -> None:
    assert steps.step("document.manifest", value)["error"] == "invalid_input"


def test_what_is_written_is_the_same_in_a_second_attempt(steps: StepsOfARun) -> None:
    for _ in range(2):
        steps.step("document.manifest", {"documents": [{"id": "a", "text": LONG}]})
    assert len([key for key in steps.fleet.payloads.objects if key.startswith("workflows/")]) == 2


@pytest.mark.parametrize("name", ["mit.txt", "debian-constitution.txt"])
def test_three_steps_find_what_the_agent_for_one_task_finds(steps: StepsOfARun, name: str) -> None:
    expected = tomllib.loads((CORPUS / "expected.toml").read_text("utf-8"))[name]
    text = (CORPUS / name).read_text("utf-8")
    steps.put("workflows/inputs/acme/it.txt", text)
    document = {"id": name, "name": name, "key": "workflows/inputs/acme/it.txt"}
    extraction = steps.step("document.extract", {"document": document})
    kind = steps.step("document.classify", {"document": document, "extraction": extraction})
    summary = steps.step("document.summarize", {"document": document, "sentences": 2})
    assert (kind["document_class"], kind["title"]) == (expected["class"], expected.get("title", name))
    assert 0 < len(kind["evidence"]) <= 5
    assert summary["route"] is None
    assert 0 < len(summary["summary"]) <= 2000


def test_an_empty_document_has_an_empty_summary_also_of_a_model(steps: StepsOfARun) -> None:
    document = {"id": "a", "text": " \n"}
    assert steps.step("document.summarize", {"document": document, "route": "fast"}) == {"summary": "", "route": None}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "document_missing"),
        (b"\xff\xfe\x00", "document_unreadable"),
        (b"x" * (MAX_TEXT_BYTES + 1), "document_too_large"),
    ],
)
@pytest.mark.parametrize("agent", ["document.extract", "document.classify", "document.summarize"])
def test_a_document_without_a_text_fails_with_a_name(
    steps: StepsOfARun, agent: str, content: bytes | None, code: str
) -> None:
    key = "workflows/inputs/acme/it.txt"
    if content is not None:
        steps.put(key, content)
    empty = steps.step("document.extract", {"document": {"id": "a", "text": ""}})
    value = {"document": {"id": "a", "key": key}} | ({"extraction": empty} if agent == "document.classify" else {})
    assert steps.step(agent, value)["error"] == code


def test_the_errors_that_states_may_name_are_declared() -> None:
    from flotilla.agents.decorator import definition_of

    for each in (agents.extract_document, agents.classify_document, agents.summarize_document):
        found = definition_of(each)
        assert found is not None
        assert set(found.errors) == {"document_missing", "document_unreadable", "document_too_large"}
