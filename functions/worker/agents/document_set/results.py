"""The report: what the executions for the documents left behind, merged into one file.

Step Functions writes the results of a map into several files, by how the executions ended and in no order that can be
relied on, and names them in a file of its own. An execution that failed as a whole left its input instead of a result.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from flotilla.errors import PermanentError
from functions.worker.agents.document_set.models import Failure, Files, ItemResult, JsonObject, Report

REPORT = "report.jsonl"
FAILURES = "failures.jsonl"

UNREADABLE = "results_unreadable"
LOST = "result_missing"
"""What a document failed with of which nothing was left behind."""

_FAILURES_BYTES = 6000
"""The report is handed on by the workflow, which has room for 16 KiB."""
_MOST_ERRORS = 20
_MESSAGE_CHARACTERS = 200


@dataclass(frozen=True)
class Merged:
    """The files of a report that is yet to be written.

    Attributes:
        failures: None where nothing failed.
    """

    report: bytes
    failures: bytes | None
    classes: Counter[str]
    errors: Counter[str]
    failed: list[Failure]
    total: int

    def told(self, files: Files) -> Report:
        """The report for people."""
        shown: list[Failure] = []
        room = _FAILURES_BYTES
        for failure in self.failed:
            room -= len(failure.model_dump_json())
            if room < 0:
                break
            shown.append(failure)
        return Report(
            total=self.total,
            done=self.total - len(self.failed),
            failed=len(self.failed),
            classes=dict(self.classes.most_common()),
            errors={error[:80]: count for error, count in self.errors.most_common(_MOST_ERRORS)},
            failures=shown,
            files=files,
        )


def result_files(content: bytes) -> dict[str, list[str]]:
    """Keys of the files that hold the results, by how the executions ended.

    Raises:
        PermanentError: It is not what Step Functions writes (`results_unreadable`).
    """
    try:
        groups = json.loads(content)["ResultFiles"]
        return {status: [str(file["Key"]) for file in files] for status, files in groups.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PermanentError("what tells of the results is not readable", code=UNREADABLE) from error


def merge(manifest: bytes, files: dict[str, list[str]], read: Callable[[str], bytes]) -> Merged:
    """Bring the results into the order of the manifest.

    Args:
        manifest: The manifest's content.
        files: As `result_files` found them.
        read: Gets a file by its key.

    Raises:
        PermanentError: A file is not what Step Functions writes (`results_unreadable`).
    """
    found: dict[str, ItemResult] = {}
    for status, keys in files.items():
        for key in keys:
            for record in _records(read(key)):
                result = _result(record) if status == "SUCCEEDED" else _of_failed(record)
                if result is not None:
                    found[result.id] = result
    lines, bad = [], []
    classes: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    failed: list[Failure] = []
    for document_id in _ids(manifest):
        result = found.get(document_id) or _lost(document_id)
        line = result.model_dump_json(by_alias=True, exclude_none=True).encode()
        lines.append(line)
        if result.status == "done":
            classes[result.document_class or "other"] += 1
            continue
        bad.append(line)
        failure = _failure(result)
        errors[failure.error] += 1
        failed.append(failure)
    return Merged(
        report=_file(lines),
        failures=_file(bad) if bad else None,
        classes=classes,
        errors=errors,
        failed=failed,
        total=len(lines),
    )


def _records(content: bytes) -> Iterator[JsonObject]:
    """The records of a file, be they lines or one list."""
    try:
        if content.lstrip()[:1] == b"[":
            yield from json.loads(content)
            return
        for line in content.splitlines():
            if line.strip():
                yield json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PermanentError("a file of results is not readable", code=UNREADABLE) from error


def _result(record: Any) -> ItemResult:
    try:
        return ItemResult.model_validate(record)
    except ValidationError as error:
        raise PermanentError("a file of results holds something else", code=UNREADABLE) from error


def _of_failed(record: Any) -> ItemResult | None:
    """What is known of an execution that failed, or was never begun."""
    try:
        given = record["Input"]
        value = json.loads(given) if isinstance(given, str) else given
        error = str(record.get("Error") or LOST)
        message = record.get("Cause")
        return ItemResult(
            id=str(value["document"]["id"]),
            status="failed",
            error=error,
            message=None if message is None else str(message)[:_MESSAGE_CHARACTERS],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # the document is missed when the manifest is gone through


def _ids(manifest: bytes) -> Iterator[str]:
    for line in manifest.splitlines():
        if line.strip():
            yield str(json.loads(line)["id"])


def _lost(document_id: str) -> ItemResult:
    return ItemResult(id=document_id, status="failed", error=LOST)


def _failure(result: ItemResult) -> Failure:
    message = result.message
    return Failure(
        id=result.id,
        step=result.step,
        error=result.error or LOST,
        message=None if message is None else message[:_MESSAGE_CHARACTERS],
        task_id=result.task_id,
    )


def _file(lines: list[bytes]) -> bytes:
    return b"\n".join(lines) + b"\n"
