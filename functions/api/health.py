"""`/healthz` and `/readyz`: for whoever watches, without a key and without a word too many."""

from __future__ import annotations

from functions.api.dependencies import Dependencies
from functions.api.gateway import Response
from functions.api.routing import Call


async def alive(_call: Call) -> Response:
    """`GET /healthz`: this process answers."""
    return Response(200, {"status": "ok"})


class Readiness:
    """Answers `GET /readyz`.

    Args:
        dependencies: What is needed.
    """

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies

    async def ready(self, _call: Call) -> Response:
        """`GET /readyz`: 200 if all that is needed answers, else 503."""
        seen = await self._dependencies.look(needed_only=True)
        checks = {each.dependency.name: "ok" if each.answers else "down" for each in seen}
        if all(each.answers for each in seen):
            return Response(200, {"status": "ok", "checks": checks})
        return Response(503, {"status": "unavailable", "checks": checks}, {"retry-after": "5"})
