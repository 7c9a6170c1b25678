"""Invokes functions and says what came of it.

An invocation is sent once. If it is not known whether the function ran, the outcome is a failure and the caller leaves
the messages to their visibility timeout: running a thing twice by ourselves is worse than running it late.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

_LOG = logging.getLogger("local.event_sources")
_THROTTLE_FIRST_SECONDS = 0.05
_THROTTLE_LONGEST_SECONDS = 2.0
_NOT_RUN = frozenset({"ResourceNotFoundException", "ResourceConflictException"})

Outcome = Literal["succeeded", "function-error", "not-run", "unknown"]


@dataclass(frozen=True)
class Invocation:
    """What came of one invocation.

    Attributes:
        outcome: `not-run` if it is certain that the function was not called, `unknown` if that is not known.
        answer: What the function returned, decoded; None unless it succeeded.
    """

    outcome: Outcome
    answer: Any = None
    request_id: str = ""
    version: str = "$LATEST"


class Invoker:
    """Invokes functions at the engine; waits out throttling."""

    def __init__(self, functions: Any, stopping: threading.Event) -> None:
        self._functions = functions
        self._stopping = stopping

    def invoke(self, function_arn: str, event: Mapping[str, Any], *, patience_seconds: float) -> Invocation:
        """Calls the function and waits for its answer.

        Args:
            function_arn: What to call.
            event: What it gets, as JSON can hold it.
            patience_seconds: How long to go on while the function is throttled.
        """
        payload = json.dumps(event, separators=(",", ":"))
        deadline = time.monotonic() + patience_seconds
        pause = _THROTTLE_FIRST_SECONDS
        while True:
            try:
                return _read(self._functions.invoke(FunctionName=function_arn, Payload=payload), function_arn)
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))
                throttled = code == "TooManyRequestsException"
                if throttled and time.monotonic() + pause < deadline and not self._stopping.wait(pause):
                    pause = min(pause * 2, _THROTTLE_LONGEST_SECONDS)
                    continue
                _LOG.warning("%s was not invoked: %s", function_arn, error)
                return Invocation("not-run" if throttled or code in _NOT_RUN else "unknown")
            except EndpointConnectionError:
                return Invocation("not-run")
            except BotoCoreError as error:
                _LOG.warning("%s: lost the connection: %s", function_arn, error)
                return Invocation("unknown")


def _read(response: Mapping[str, Any], function_arn: str) -> Invocation:
    body = response["Payload"].read()
    request_id = str(response.get("ResponseMetadata", {}).get("RequestId", ""))
    version = str(response.get("ExecutedVersion", "$LATEST"))
    if "FunctionError" in response:
        _LOG.warning("%s failed: %s", function_arn, body[:500].decode(errors="replace"))
        return Invocation("function-error", request_id=request_id, version=version)
    try:
        answer = json.loads(body) if body else None
    except ValueError:
        answer = body.decode(errors="replace")
    return Invocation("succeeded", answer=answer, request_id=request_id, version=version)
