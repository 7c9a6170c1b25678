"""`/healthz` and `/readyz`: for whoever watches, without a key and without a word too many.

Anybody may ask, so an answer is remembered for a moment: asking often costs one round of probes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from flotilla.clock import Clock
from flotilla.errors import RetryableError
from flotilla.ports import RunSync
from functions.api.gateway import Response
from functions.api.routing import Call

_PROBE_SECONDS = 2.0
_REMEMBERED_MS = 1000


async def alive(_call: Call) -> Response:
    """`GET /healthz`: this process answers."""
    return Response(200, {"status": "ok"})


class Readiness:
    """Answers `GET /readyz`.

    Args:
        probes: What is needed, each with the calls that show it answers.
        run_sync: Runs the probes, on threads that nothing else waits for.
        clock: Tells how old an answer is.
        probe_seconds: What has not answered by then is down.
    """

    def __init__(
        self,
        probes: Mapping[str, Sequence[Callable[[], None]]],
        run_sync: RunSync,
        clock: Clock,
        probe_seconds: float = _PROBE_SECONDS,
    ) -> None:
        self._probes = probes
        self._run_sync = run_sync
        self._clock = clock
        self._probe_seconds = probe_seconds
        self._answer: Response | None = None
        self._answered_ms = 0

    async def ready(self, _call: Call) -> Response:
        """`GET /readyz`: 200 if all that is needed answers, else 503."""
        age_ms = self._clock.now_ms() - self._answered_ms
        if self._answer is None or not 0 <= age_ms < _REMEMBERED_MS:
            self._answer = await self._ask()
            self._answered_ms = self._clock.now_ms()
        return self._answer

    async def _ask(self) -> Response:
        answers = await asyncio.gather(*(self._all_answer(probes) for probes in self._probes.values()))
        checks = {name: "ok" if answer else "down" for name, answer in zip(self._probes, answers, strict=True)}
        if all(answers):
            return Response(200, {"status": "ok", "checks": checks})
        return Response(503, {"status": "unavailable", "checks": checks}, {"retry-after": "5"})

    async def _all_answer(self, probes: Sequence[Callable[[], None]]) -> bool:
        try:
            async with asyncio.timeout(self._probe_seconds):
                await asyncio.gather(*(self._run_sync(probe) for probe in probes))
        except (RetryableError, TimeoutError):
            return False
        return True
