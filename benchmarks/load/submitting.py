"""Submits one task a request, each with an idempotency key of its own, and says in a word how it went."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.load.wire import Answer, NoAnswerError, Wire

ACCEPTED = "accepted"
"""The word for what went well."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submit brought.

    Attributes:
        word: `accepted`; `refused: 429 rate-limited` and the like, which promises nothing; or `unknown: timeout` and
            the like, where the task may be there or not.
        task: As it was answered; None where it was not accepted.
        replayed: An earlier submit with the key had made it.
    """

    word: str
    task: Mapping[str, Any] | None = None
    replayed: bool = False

    @property
    def unknown(self) -> bool:
        """It may have been accepted."""
        return self.word.startswith("unknown")


class Submitting:
    """Submits tasks that are all alike.

    Args:
        wire: To the deployment.
        body: Of each request.
        run: What tells the keys of this run from those of any other.
    """

    def __init__(self, wire: Wire, body: Mapping[str, Any], run: str) -> None:
        self._wire = wire
        self._body = json.dumps(dict(body), separators=(",", ":")).encode()
        self._run = run

    def key(self, number: int) -> str:
        """The idempotency key of a task of the run."""
        return f"load-{self._run}-{number}"

    async def __call__(self, number: int) -> Submitted:
        """Submit the task of that number, once. Raises nothing."""
        headers = {"content-type": "application/json", "idempotency-key": self.key(number)}
        try:
            answer = await self._wire.request("POST", "/v1/tasks", body=self._body, headers=headers)
        except NoAnswerError as error:
            return Submitted(f"unknown: {error}")
        return _told(answer)


def _told(answer: Answer) -> Submitted:
    try:
        value = json.loads(answer.body)
    except ValueError:
        value = None
    if answer.status in (200, 202) and isinstance(value, dict) and "id" in value:
        return Submitted(ACCEPTED, value, answer.headers.get("idempotent-replay") == "true")
    slug = ""
    if isinstance(value, dict):
        slug = str(value.get("type") or value.get("message") or "").rpartition("/")[2].rpartition(":")[2]
    # Behind a server's error the task may be there; a client's error promises that it is not.
    certain = "refused" if 400 <= answer.status < 500 else "unknown"
    return Submitted(f"{certain}: {answer.status} {slug}".rstrip())
