"""The analysis of every document of the corpus against its annotations."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from functions.worker.agents.document_text.classification import classify
from functions.worker.agents.document_text.extraction import extract
from functions.worker.agents.document_text.models import LICENCE_CLASSES, Extraction
from functions.worker.agents.document_text.summary import summarize

CORPUS = Path(__file__).parents[3] / "examples" / "documents"
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((CORPUS / "expected.toml").read_text(encoding="utf-8"))
DOCUMENTS = sorted(path.name for path in CORPUS.iterdir() if path.name not in {"SOURCES.md", "expected.toml"})


@cache
def read(name: str) -> str:
    return (CORPUS / name).read_text(encoding="utf-8")


@cache
def analysis(name: str) -> Extraction:
    return extract(read(name))


def test_every_document_is_annotated_and_its_source_is_named() -> None:
    sources = (CORPUS / "SOURCES.md").read_text(encoding="utf-8")
    assert sorted(EXPECTED) == DOCUMENTS
    assert [name for name in DOCUMENTS if f"| `{name}` |" not in sources] == []


def test_the_corpus_has_every_class_of_licence_and_enough_documents() -> None:
    classes = {document["class"] for document in EXPECTED.values()}
    assert set(LICENCE_CLASSES) <= classes
    assert len(DOCUMENTS) >= 24


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_of_its_class_beyond_doubt(name: str) -> None:
    found = classify(read(name), analysis(name).title, analysis(name).dates)
    others = [score for label, score in found.scores.items() if label != found.document_class]
    assert found.document_class == EXPECTED[name]["class"]
    assert found.score >= 2 * max(others)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_has_its_title(name: str) -> None:
    assert analysis(name).title == EXPECTED[name].get("title")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_has_its_sections(name: str) -> None:
    found = [
        f"{section.number} {section.title}" if section.number else section.title for section in analysis(name).sections
    ]
    assert [heading for heading in EXPECTED[name].get("headings", []) if heading not in found] == []
    assert EXPECTED[name]["sections"] <= len(found) <= 1.1 * EXPECTED[name]["sections"]


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("kind", ["dates", "terms", "links"])
def test_a_document_has_its_dates_terms_and_links(name: str, kind: str) -> None:
    found = {
        "dates": [date.iso for date in analysis(name).dates],
        "terms": [term.term for term in analysis(name).terms],
        "links": [link.target for link in analysis(name).links],
    }[kind]
    expected = EXPECTED[name].get(kind, [])
    assert [value for value in expected if value not in found] == []
    if kind == "dates":
        assert bool(found) == bool(expected)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_summary_is_made_of_readable_sentences_of_the_document(name: str) -> None:
    text = read(name)
    flat = " ".join(text.split())
    summary = summarize(text, 3)
    assert summary
    titles = {section.title for section in analysis(name).sections}
    for sentence in summary:
        assert sentence.text in flat or " ".join(text[sentence.offset :].split())[:20] == sentence.text[:20]
        assert sentence.text not in titles
        assert sentence.text.endswith((".", "!", "?", ":", ".”"))
        assert not sentence.text.isupper()
        assert "Copyright (" not in sentence.text
