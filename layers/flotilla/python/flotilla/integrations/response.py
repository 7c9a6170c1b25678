"""What a call answers, and what it raises where the other side refuses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flotilla.errors import PermanentError, RetryableError
from flotilla.integration_ports import HttpAnswer


class Headers(Mapping[str, str]):
    """Headers of an answer: any case finds them; what came several times is joined by commas."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        found: dict[str, str] = {}
        for name, value in pairs:
            low = name.lower()
            found[low] = f"{found[low]}, {value}" if low in found else value
        self._found = found

    def __getitem__(self, name: str) -> str:
        return self._found[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        # Values may hold what is nobody's business: names are enough to see what came.
        return f"Headers({', '.join(self._found)})"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes:
        status: 2xx, or one that the caller accepts.
        headers: By name, in any case.
        content: The body.
    """

    status: int
    headers: Headers
    content: bytes

    @classmethod
    def of(cls, answer: HttpAnswer) -> Response:
        """As the agent gets it."""
        return cls(answer.status, Headers(answer.headers), answer.body)

    @property
    def text(self) -> str:
        """The body as text, in the encoding its type names (else UTF-8); what cannot be read is replaced."""
        try:
            return self.content.decode(_charset(self.headers.get("content-type", "")), errors="replace")
        except (LookupError, UnicodeError):  # it names no encoding of texts
            return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            RetryableError: It is none (`integration_answer`). What should be JSON and is not is mostly some proxy's
                page, which another attempt does not meet.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise RetryableError("the integration's answer is not JSON", code="integration_answer") from error


class IntegrationRefusedError(PermanentError):
    """The other side refuses the call, and would refuse it again.

    Args:
        integration: Its name.
        response: The answer.
    """

    default_code = "integration_refused"

    def __init__(self, integration: str, response: Response, *, code: str | None = None, message: str = "") -> None:
        super().__init__(message or f"integration {integration} answered {response.status}", code=code)
        self.integration = integration
        self.response = response
        self.status = response.status


def _charset(content_type: str) -> str:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset":
            return value.strip("\"' ") or "utf-8"
    return "utf-8"
