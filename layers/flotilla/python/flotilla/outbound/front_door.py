"""The API over its own address, as whoever has no key sees it.

Failure policy: told, not raised. That the API does not answer is what is to be found out.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

from flotilla.canary_ports import Readiness
from flotilla.ports import RunSync

_SECONDS = 5.0
_LONGEST_ANSWER = 65_536


class HttpFrontDoor:
    """`FrontDoor` over HTTP.

    Args:
        api_url: Its address, without a slash at the end; from the fleet's own settings, never from a client.
        run_sync: Runs the blocking request.
        seconds: What has not answered by then does not answer.
    """

    def __init__(self, api_url: str, run_sync: RunSync, seconds: float = _SECONDS) -> None:
        self._url = f"{api_url}/readyz"
        self._run_sync = run_sync
        self._seconds = seconds

    async def readiness(self) -> Readiness:
        """See `FrontDoor.readiness`."""
        return await self._run_sync(self._ask)

    def _ask(self) -> Readiness:
        began = time.monotonic()
        try:
            try:
                with urllib.request.urlopen(self._url, timeout=self._seconds) as answer:
                    status, body = answer.status, answer.read(_LONGEST_ANSWER)
            except urllib.error.HTTPError as error:
                status, body = error.code, error.read(_LONGEST_ANSWER)
        except (OSError, ValueError) as error:
            return Readiness(ready=False, why=f"no answer: {type(error).__name__}")
        latency_ms = round((time.monotonic() - began) * 1000)
        if status == 200:
            return Readiness(ready=True, latency_ms=latency_ms)
        return Readiness(ready=False, latency_ms=latency_ms, down=_down(body), why=f"status {status}")


def _down(body: bytes) -> tuple[str, ...]:
    try:
        checks = json.loads(body)["checks"]
        return tuple(sorted(str(name) for name, state in checks.items() if state != "ok"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
