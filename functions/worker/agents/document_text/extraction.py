"""Everything a text states about itself, in one pass over its layout."""
# ruff: noqa: RUF001 - typographic quotes, dashes and stops are what is looked for

from __future__ import annotations

from functions.worker.agents.document_text.dates import find_dates
from functions.worker.agents.document_text.headings import Outline, find_outline
from functions.worker.agents.document_text.layout import lay_out, running_text
from functions.worker.agents.document_text.links import find_links
from functions.worker.agents.document_text.models import LIMITS, Counts, Extraction, Section
from functions.worker.agents.document_text.sentences import count_words, split_sentences
from functions.worker.agents.document_text.terms import find_terms


def extract(text: str) -> Extraction:
    """Title, section headings, dates, links, defined terms and counts of `text`."""
    layout = lay_out(text)
    outline = find_outline(layout)
    dates = find_dates(layout.text)
    links = find_links(layout.text)
    sentences = split_sentences(running_text(layout, _without_definitions(outline)))
    terms = find_terms(layout.text, sentences)
    return Extraction(
        title=outline.title.text if outline.title else None,
        sections=[
            Section(title=heading.title, level=heading.level, number=heading.number, offset=heading.start)
            for heading in outline.headings[: LIMITS["sections"]]
        ],
        dates=dates[: LIMITS["dates"]],
        links=links[: LIMITS["links"]],
        terms=terms[: LIMITS["terms"]],
        counts=Counts(
            characters=len(text),
            words=count_words(layout.text),
            sentences=len(sentences),
            sections=len(outline.headings),
            dates=len(dates),
            links=len(links),
            terms=len(terms),
        ),
    )


def _without_definitions(outline: Outline) -> list[tuple[int, int]]:
    """The spans to leave out where terms are looked for: a heading may be the term its section defines."""
    terms = {heading.start for heading in outline.headings if heading.title[:1] in '"“‘„«'}
    return [span for span in outline.spans() if span[0] not in terms]
