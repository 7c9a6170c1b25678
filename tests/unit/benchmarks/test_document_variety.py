from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.documents.variety import expected_classes, varied
from functions.worker.agents.document_text.classification import classify
from functions.worker.agents.document_text.extraction import extract

COUNT = 1000
EVERY = 23
"""Of so many documents one is classified: no divisor of how many originals there are, so all of these come up."""


def test_no_two_documents_are_alike_and_none_is_its_original() -> None:
    documents = list(varied(COUNT))
    assert [document.number for document in documents] == list(range(COUNT))
    assert len({document.id for document in documents}) == COUNT
    assert len({document.text for document in documents}) == COUNT
    for document in documents[:50]:
        original = Path("examples/documents", document.original).read_text(encoding="utf-8", errors="replace")
        assert document.text.startswith(original.rstrip())
        assert document.text != original


def test_the_same_number_is_the_same_document_whenever_it_is_asked_for() -> None:
    assert list(varied(60)) == list(varied(100))[:60]


def test_every_original_is_annotated_and_comes_up_as_often_as_any_other() -> None:
    documents = list(varied(COUNT))
    assert {document.original for document in documents} == set(expected_classes())
    assert None not in {document.document_class for document in documents}
    counts = [sum(each.original == name for each in documents) for name in expected_classes()]
    assert max(counts) - min(counts) <= 1


def test_a_document_stays_of_the_class_that_its_original_has() -> None:
    some = [document for document in varied(COUNT) if document.number % EVERY == 0]
    assert len({document.original for document in some}) == len(expected_classes())
    for document in some:
        found = extract(document.text)
        assert classify(document.text, found.title, found.dates).document_class == document.document_class, document.id


def test_a_folder_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no documents"):
        next(varied(1, tmp_path))
