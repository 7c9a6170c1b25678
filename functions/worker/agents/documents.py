"""`document.analyze`: reads a licence, contract, standard or report and says what it is.

Works without any model. Each stage is a durable step, so an attempt that follows a crash redoes
only what was not finished. Refuses to fetch the document: the text is the input.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from flotilla.agents import Context, agent
from functions.worker.agents.document_text.classification import classify
from functions.worker.agents.document_text.extraction import extract
from functions.worker.agents.document_text.models import (
    Counts,
    DateMention,
    DocumentClass,
    Evidence,
    Link,
    Score,
    Section,
    SummarySentence,
    Term,
)
from functions.worker.agents.document_text.summary import summarize

MAX_CHARACTERS = 2 * 1024 * 1024


class AnalyzeInput(BaseModel):
    """A document."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=MAX_CHARACTERS, description="Plain text, Markdown or reStructuredText.")]
    name: Annotated[
        str | None, Field(max_length=255, description="What to call it where it has no title of its own.")
    ] = None
    summary_sentences: Annotated[int, Field(ge=1, le=10, description="Sentences of the summary, at most.")] = 3


class AnalyzeOutput(BaseModel):
    """What was found in the document. Lists are bounded; `counts` has the full numbers."""

    title: str | None
    document_class: DocumentClass
    score: Annotated[Score, Field(description="Score of `document_class`.")]
    scores: dict[DocumentClass, Score]
    evidence: list[Evidence]
    sections: list[Section]
    dates: list[DateMention]
    links: list[Link]
    terms: list[Term]
    summary: list[SummarySentence]
    counts: Counts


@agent("document.analyze", version="1", timeout_seconds=60, max_attempts=4)
async def analyze(task: AnalyzeInput, ctx: Context) -> AnalyzeOutput:
    """Extract, classify and summarize a document."""
    found = await ctx.step("extract", extract, task.text)
    kind = await ctx.step("classify", classify, task.text, found.title, found.dates)
    summary = await _summary(task, ctx)
    return AnalyzeOutput(
        title=found.title or task.name,
        document_class=kind.document_class,
        score=kind.score,
        scores=kind.scores,
        evidence=kind.evidence,
        sections=found.sections,
        dates=found.dates,
        links=found.links,
        terms=found.terms,
        summary=summary,
        counts=found.counts,
    )


async def _summary(task: AnalyzeInput, ctx: Context) -> list[SummarySentence]:
    """The one place that says who writes the summary: the document itself, in its best sentences."""
    sentences: list[SummarySentence] = await ctx.step("summarize", summarize, task.text, task.summary_sentences)
    return sentences
