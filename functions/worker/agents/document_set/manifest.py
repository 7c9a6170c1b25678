"""The manifest: a line for each document, with its text or with the key of the file that holds it.

Invariant: no two lines have the same id, and no line is longer than an item of a map may be. The order is that of the
list that it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from flotilla.errors import PermanentError
from functions.worker.agents.document_set.models import (
    INLINE_BYTES,
    MAX_DOCUMENTS,
    MAX_MANIFEST_BYTES,
    MAX_TEXT_BYTES,
    Document,
)

NAME = "manifest.jsonl"
"""Of the file, as the workflow's definition knows it."""

INVALID = "invalid_manifest"


@dataclass(frozen=True)
class Manifest:
    """A manifest that is yet to be written.

    Attributes:
        content: Of the file `NAME`.
        texts: Contents of further files, by their names: the texts that are too long for a line.
        documents: How many there are.
        duplicates: How many were listed again, and were left out.
    """

    content: bytes
    texts: dict[str, bytes]
    documents: int
    duplicates: int


def listed_in(content: bytes) -> Iterator[Document]:
    """The documents in a file of JSON Lines; empty lines are passed over.

    Raises:
        PermanentError: It holds something else (`invalid_manifest`).
    """
    if len(content) > MAX_MANIFEST_BYTES:
        raise _invalid(
            f"it has {len(content)} bytes; at most {MAX_MANIFEST_BYTES} are read, so put texts into files of their own"
        )
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise _invalid(f"line {number} is no JSON") from None
        try:
            yield Document.model_validate(value)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)[0]
            place = "/".join(str(part) for part in found["loc"])
            raise _invalid(f"line {number}{f', {place}' if place else ''}: {found['msg']}") from None


def make(documents: Iterable[Document], key_of: Callable[[str], str]) -> Manifest:
    """Make a manifest.

    Args:
        documents: What is listed; one that is listed again, the same in all, counts once.
        key_of: Says under which key a file of a name will lie.

    Raises:
        PermanentError: Two documents share an id, there is none, too many, or too long a text (`invalid_manifest`).
    """
    known: dict[str, Document] = {}
    texts: dict[str, bytes] = {}
    lines: list[bytes] = []
    duplicates = 0
    for document in documents:
        former = known.setdefault(document.id, document)
        if former is not document:
            if former != document:
                raise _invalid(f"two documents have the id {document.id[:80]!r}")
            duplicates += 1
            continue
        if len(known) > MAX_DOCUMENTS:
            raise _invalid(f"there are more than {MAX_DOCUMENTS} documents")
        line = document.model_dump(exclude_none=True)
        content = _encoded(document)
        if document.text is not None and len(json.dumps(document.text)) > INLINE_BYTES:
            name = f"documents/{len(known):06d}.txt"
            texts[name] = content
            del line["text"]
            line["key"] = key_of(name)
        lines.append(json.dumps(line, separators=(",", ":")).encode())
    if not lines:
        raise _invalid("it lists no document")
    return Manifest(b"\n".join(lines) + b"\n", texts, len(lines), duplicates)


def _encoded(document: Document) -> bytes:
    try:
        content = (document.text or "").encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        raise _invalid(f"the text of document {document.id[:80]!r} is no text") from None
    if len(content) > MAX_TEXT_BYTES:
        raise _invalid(f"the text of document {document.id[:80]!r} has more than {MAX_TEXT_BYTES} bytes")
    return content


def _invalid(why: str) -> PermanentError:
    return PermanentError(f"the manifest is none: {why}", code=INVALID)
