"""Which code answers which method and path: a table, looked up without side effects.

A table of our own, because a framework's router costs a cold start more than all of this package,
and answers a wrong method with 404 and a body that is no problem document.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from functions.api.gateway import Request, Response
from functions.api.identity import ANONYMOUS, Identity
from functions.api.problems import refusal

_PARAMETER = re.compile(r"\{(\w+)\}")
_PARAMETER_VALUE = r"(?P<\1>[^/]{1,256})"


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way to the code that answers it.

    Attributes:
        parameters: The path's variable parts, unchecked but for their length.
        log: Keys for the request's log line; whoever learns one adds it.
    """

    request: Request
    identity: Identity = ANONYMOUS
    parameters: Mapping[str, str] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)


Endpoint = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table.

    Attributes:
        template: The path, variable parts in braces.
        scope: What the caller's key must have; None asks for no key.
    """

    method: str
    template: str
    scope: str | None
    endpoint: Endpoint


class Router:
    """Finds routes. Templates that differ only in what their variable parts are called are one path."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._paths: dict[str, tuple[re.Pattern[str], dict[str, tuple[re.Pattern[str], Route]]]] = {}
        for route in routes:
            pattern = re.compile(_PARAMETER.sub(_PARAMETER_VALUE, route.template))
            _, methods = self._paths.setdefault(_PARAMETER.sub("{}", route.template), (pattern, {}))
            methods[route.method] = pattern, route

    def find(self, request: Request) -> tuple[Route, dict[str, str]]:
        """The route for a request, and the path's variable parts.

        Raises:
            RefusalError: There is no such path, or it does not take this method.
        """
        for any_pattern, methods in self._paths.values():
            if any_pattern.fullmatch(request.path) is None:
                continue
            # Whatever can be read can be asked for without its body.
            found = methods.get("GET" if request.method == "HEAD" else request.method)
            if found is not None:
                pattern, route = found
                match = pattern.fullmatch(request.path)
                assert match is not None
                return route, match.groupdict()
            allowed = sorted(methods) + (["HEAD"] if "GET" in methods else [])
            raise refusal(
                "method-not-allowed",
                f"This path takes {', '.join(allowed)}.",
                headers={"allow": ", ".join(allowed)},
            )
        raise refusal("not-found", "There is no such path.")
