"""Which terms a text defines, and which quoted words are only quoted."""
# ruff: noqa: RUF001 - typographic marks are what is tested

from __future__ import annotations

import pytest

from functions.worker.agents.document_text.layout import lay_out, running_text
from functions.worker.agents.document_text.models import Term
from functions.worker.agents.document_text.sentences import split_sentences
from functions.worker.agents.document_text.terms import find_terms


def found(text: str) -> list[Term]:
    return find_terms(text, split_sentences(running_text(lay_out(text))))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ('"Work" shall mean the work of authorship.', ["Work"]),
        ("1.3. “Covered Software” means the files.", ["Covered Software"]),
        ('"You" (or "Your") shall mean an individual.', ["You", "Your"]),
        ('To "modify" a work means to copy from it.', ["modify"]),
        ('The "source code" for a work means its preferred form.', ["source code"]),
        ('"The Program" refers to any copyrightable work.', ["The Program"]),
        ('The "Library", below, refers to any such library.', ["Library"]),
        ('An "Application" is any work that uses the Library.', ["Application"]),
        ('Each licensee is addressed as "you".', ["you"]),
        ('This is hereinafter called the "Licensor".', ["Licensor"]),
        ('files (the "Software"), and others (each, a "File")', ["Software", "File"]),
        ('a commons ("Commons") and Related Rights ("Related Rights").', ["Commons", "Related Rights"]),
        ("— ‘The Work’: the Original Work or its Derivative Works.", ["The Work"]),
        ("a. Adapted Material means material that is derived.", ["Adapted Material"]),
        ('1.1. "Contributor\n  Version"\n    means the combination.', ["Contributor Version"]),
    ],
)
def test_a_term_is_found_where_it_is_defined(text: str, terms: list[str]) -> None:
    assert [term.term for term in found(text)] == terms


@pytest.mark.parametrize(
    "text",
    [
        'He said "hello" to all.',
        'It links to "(quickref)", which may be copied, as that means nothing.',
        'The word "free" is not about price.',
        'as a command ("do this", "return that"), not as a description',
        'see the list (including the word "copyright") there',
        "Nothing means nothing.",
        "**Note**: this is one bold word.",
    ],
)
def test_a_word_that_is_only_quoted_is_no_term(text: str) -> None:
    assert found(text) == []


def test_a_glossary_of_bold_entries_is_taken_as_definitions() -> None:
    text = "\n".join(f"* **Term{letter}**: what it is." for letter in "ABCDEFGH")
    assert len(found(text)) == 8


def test_a_term_counts_once_where_it_is_first_defined() -> None:
    text = 'First, "Work" means this. Then, "work" means that.'
    (term,) = found(text)
    assert (term.term, term.definition) == ("Work", 'First, "Work" means this.')
    assert text[term.offset :].startswith("Work")


def test_a_long_definition_is_shortened_between_words() -> None:
    (term,) = found('"Work" means ' + "everything " * 100 + "else.")
    assert len(term.definition) <= 402
    assert term.definition.endswith("everything …")
