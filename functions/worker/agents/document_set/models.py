"""The shapes of what is handed from state to state about a set of documents."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_DOCUMENTS = 100_000
MAX_TEXT_BYTES = 2 * 1024 * 1024
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
INLINE_BYTES = 16_384
"""Of a document's text, as JSON: a longer one lies in a file of its own, so that every item fits a message."""

Key = Annotated[str, Field(min_length=1, max_length=1024)]


class Model(BaseModel):
    """Base of the shapes: nothing but what is declared."""

    model_config = ConfigDict(extra="forbid")


class Document(Model):
    """A document, or where its text lies.

    Attributes:
        name: What to call it where it has no title of its own.
    """

    id: Annotated[str, Field(min_length=1, max_length=256)]
    name: Annotated[str | None, Field(max_length=255)] = None
    text: Annotated[str | None, Field(description="Plain text, Markdown or reStructuredText.")] = None
    key: Annotated[Key | None, Field(description="Of the file that holds the text.")] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.key is None):
            raise ValueError("a document has either a text or a key")
        return self


class SummaryOptions(Model):
    """How documents are summed up.

    Attributes:
        route: By which a model does it; None takes the document's own best sentences.
    """

    sentences: Annotated[int, Field(ge=1, le=10)] = 3
    route: Annotated[str | None, Field(min_length=1, max_length=128)] = None


class ItemResult(Model):
    """What became of a document: a line of the report.

    Attributes:
        step: Which step failed; None where none did, or none can be told.
        error: What it failed with.
        task_id: The task that failed.
        tasks: The tasks that did its steps, by the steps' names.
    """

    id: str
    status: Literal["done", "failed"]
    document_class: Annotated[str | None, Field(alias="class")] = None
    score: float | None = None
    title: str | None = None
    summary: str | None = None
    tasks: dict[str, str] | None = None
    step: str | None = None
    error: str | None = None
    message: str | None = None
    task_id: str | None = None


class Failure(Model):
    """A document that failed."""

    id: str
    step: str | None = None
    error: str
    message: str | None = None
    task_id: str | None = None


class Files(Model):
    """Keys of the files of a run.

    Attributes:
        report: A line for each document, in the order of the manifest.
        failures: The lines of those that failed; None where none did.
    """

    manifest: str
    report: str
    failures: str | None = None


class Report(Model):
    """What came of a set of documents.

    Attributes:
        classes: How many there are of each class.
        errors: How many failed with each error, the most frequent first.
        failures: Those that failed, as many as there is room for; all are in `files.failures`.
    """

    total: int
    done: int
    failed: int
    classes: dict[str, int]
    errors: dict[str, int]
    failures: list[Failure]
    files: Files


JsonObject = dict[str, Any]
