"""What a call to Bedrock that failed means for its caller.

    ThrottlingException, ServiceQuotaExceededException            throttled
    InternalServerException, ServiceUnavailableException,
    ModelTimeoutException, ModelErrorException,
    ModelNotReadyException, no connection, no answer in time      unavailable
    AccessDeniedException, ResourceNotFoundException,
    credentials that are wrong or missing                         misconfigured
    ValidationException                                           misconfigured, where it is the model that cannot do
                                                                  this; else refused

Codes that are not listed are judged by their HTTP status. What Bedrock says goes to the log: it names roles and
accounts. Only of a request that is refused it is repeated, since nobody can mend that without.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError

from flotilla.errors import FlotillaError
from flotilla.llm_ports import (
    CONTEXT_TOO_LONG,
    ModelMisconfiguredError,
    ModelRefusedError,
    ModelThrottledError,
    ModelUnavailableError,
)
from flotilla.primitives.webhook_retry import retry_after_seconds

logger = logging.getLogger("flotilla.llm")

_THROTTLED = frozenset({"ThrottlingException", "ServiceQuotaExceededException", "TooManyRequestsException"})
_UNAVAILABLE = {
    "InternalServerException": "model_unavailable",
    "ServiceUnavailableException": "model_unavailable",
    "ModelErrorException": "model_failed",
    "ModelNotReadyException": "model_not_ready",
    "ModelTimeoutException": "model_timeout",
}
_MISCONFIGURED = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidSignatureException",
        "NotAuthorized",
        "OptInRequired",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
    }
)

_TOO_LONG = re.compile(
    r"too long|too many (input )?tokens|context (length|window|size)|exceeds? (the )?(model'?s? )?(maximum|max) "
    r"(input|context|number of)|maximum context",
    re.IGNORECASE,
)
_OF_THE_MODEL = re.compile(
    r"model identifier|throughput isn.t supported|not authorized|operation not allowed|is not supported (in|by|for) "
    r"(this|the|your)|(does ?n.t|does not) support|maximum tokens you requested|end of its life|data retention|"
    r"output_?config|grammar",
    re.IGNORECASE,
)
"""Of validation errors: another model may do what this one does not. Bedrock has no codes for these."""

_A_DAY = re.compile(r"per day|daily", re.IGNORECASE)
_A_DAY_SECONDS = 300.0
"""A day's tokens are used up: it is not worth asking every few seconds."""

_CHARACTERS = 500


def failure(model_id: str, error: ClientError | BotoCoreError | ResponseParserError, now_ms: int) -> FlotillaError:
    """The error to raise instead."""
    if isinstance(error, ClientError):
        return _answered(model_id, error, now_ms)
    if isinstance(error, ReadTimeoutError | ConnectTimeoutError):
        return ModelUnavailableError(f"{model_id} did not answer in time", code="model_timeout")
    if isinstance(error, ResponseParserError):
        return ModelUnavailableError(f"{model_id} gave an answer that is none", code="model_answer_invalid")
    if isinstance(error, HTTPClientError | NoConnectionError):
        return ModelUnavailableError(f"{model_id} could not be reached", code="model_unreachable")
    # No credentials, no region: nothing was sent.
    return _misconfigured(model_id, type(error).__name__, str(error))


def _answered(model_id: str, error: ClientError, now_ms: int) -> FlotillaError:
    response: dict[str, Any] = dict(error.response)
    code, said = response["Error"].get("Code", ""), response["Error"].get("Message", "")
    metadata = response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    wait = retry_after_seconds(metadata.get("HTTPHeaders", {}).get("retry-after"), now_ms)
    if code in _THROTTLED or (code not in _UNAVAILABLE and status == 429):
        if wait is None and _A_DAY.search(said):
            wait = _A_DAY_SECONDS
        return ModelThrottledError(f"{model_id} wants fewer requests", retry_after_seconds=wait)
    if code in _UNAVAILABLE or status in (408, 424) or status >= 500:
        kind = _UNAVAILABLE.get(code, "model_unavailable")
        return ModelUnavailableError(f"{model_id} failed ({code or status})", code=kind, retry_after_seconds=wait)
    if code in _MISCONFIGURED or status in (401, 403, 404):
        return _misconfigured(model_id, code, said)
    if _TOO_LONG.search(said):
        return ModelRefusedError(f"{model_id}: {said[:_CHARACTERS]}", code=CONTEXT_TOO_LONG)
    if _OF_THE_MODEL.search(said):
        return _misconfigured(model_id, code, said)
    return ModelRefusedError(f"{model_id} refused the request: {said[:_CHARACTERS]}")


def _misconfigured(model_id: str, code: str, said: str) -> ModelMisconfiguredError:
    logger.error("model misconfigured", extra={"model": model_id, "code": code, "said": said[:_CHARACTERS]})
    return ModelMisconfiguredError(f"{model_id} cannot be used ({code})")
