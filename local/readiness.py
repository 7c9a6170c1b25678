"""Waits until the deployment answers, and starts a few execution environments of each function beforehand.

A function's first invocation unpacks its layers and imports its code. A burst that met only cold functions would start
one such process per request, all fighting for the same few cores: so they are started here, two at a time.
"""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from local.clients import client
from local.instance import LocalInfo
from local.progress import Step

_READY_SECONDS = 90.0
_REQUEST_SECONDS = 35.0
_POLL_SECONDS = 0.5
_STARTED_AT_ONCE = 2
_API_ENVIRONMENTS = 2
_INVOKE_SECONDS = 120.0
_ON_THE_WAY = frozenset({"RelayFunction", "ProjectorFunction", "BroadcasterFunction"})


class NotReadyError(RuntimeError):
    """The deployment does not get ready; the message says what it answered."""


def wait_until_ready(api_url: str, step: Step, *, seconds: float = _READY_SECONDS) -> None:
    """Waits for 200 from `/readyz`.

    Raises:
        NotReadyError: Not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        status, body = _get(f"{api_url}/readyz")
        if status == 200:
            return
        if time.monotonic() > deadline:
            raise NotReadyError(f"{api_url}/readyz answers {status or 'nothing'}: {body[:2000]}")
        step.note(f"answers {status or 'nothing'} so far")
        time.sleep(_POLL_SECONDS)


def prewarm(info: LocalInfo, step: Step) -> None:
    """Starts environments: some for the API and its authorizer, one for each function that a task's way leads through.

    Raises:
        NotReadyError: One of them does not start.
    """
    passed = [name for output, name in info.outputs.items() if output.startswith("Worker") or output in _ON_THE_WAY]
    functions = client("lambda", info.engine_url, read_timeout_seconds=_INVOKE_SECONDS, attempts=1)

    def start(name: str) -> None:
        step.note(name)
        answer = functions.invoke(FunctionName=name, Payload=json.dumps({"Records": []}))
        if "FunctionError" in answer:
            raise NotReadyError(f"{name} does not start: {answer['Payload'].read()[:2000].decode(errors='replace')}")

    def call_api(_: int) -> None:
        _get(f"{info.api_url}/v1/agents", bearer=info.tenant_key)

    with ThreadPoolExecutor(max_workers=_STARTED_AT_ONCE) as pool:
        started = [pool.submit(start, name) for name in passed]
        called = [pool.submit(call_api, number) for number in range(_API_ENVIRONMENTS)]
        for future in [*started, *called]:
            future.result()


def _get(url: str, bearer: str | None = None) -> tuple[int, str]:
    """Status and body; 0 where nobody answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_REQUEST_SECONDS)
    try:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        connection.request("GET", parts.path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()
