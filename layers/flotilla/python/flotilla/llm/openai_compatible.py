"""Models behind any server that speaks OpenAI's chat completions, over the same transport as integrations.

A request is made once. Only one that was refused for want of authorization is made again, where the secret may have
changed meanwhile: nothing came of the first.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Container
from dataclasses import replace

from flotilla import trace_context
from flotilla.clock import Clock
from flotilla.errors import ParkedError, StoreUnavailableError
from flotilla.integration_ports import (
    CrowdedError,
    ForbiddenCallError,
    HttpAnswer,
    HttpBounds,
    HttpRequest,
    HttpTransport,
    NoAnswerError,
    NotSentError,
    Secrets,
    UnusableAnswerError,
)
from flotilla.integrations.credentials import Credentials
from flotilla.integrations.declaration import Auth
from flotilla.llm.chat_completions import (
    Failure,
    MaxTokensMember,
    NoAnswerInsideError,
    Structured,
    body_of,
    error_of,
    failure_of,
    reply_of,
)
from flotilla.llm_ports import (
    ModelMisconfiguredError,
    ModelReply,
    ModelRequest,
    ModelThrottledError,
    ModelUnavailableError,
)
from flotilla.primitives.webhook_url import target_of

logger = logging.getLogger("flotilla.llm")

_CONNECT_SECONDS = 5.0
_ANSWER_BYTES = 8_000_000
_CROWDED_SECONDS = 1.0
_SAID_CHARACTERS = 500

_Headers = tuple[tuple[str, str], ...]


class _EveryHost(Container[str]):
    def __contains__(self, host: object) -> bool:
        return True


class OpenAiCompatible:
    """`ModelProvider` over chat completions.

    Args:
        base_url: What `/chat/completions` is added to, e.g. `https://api.openai.com/v1`.
        transport: Makes requests.
        secrets: Where the key is kept.
        clock: Time.
        auth: How requests are authenticated; None for not at all.
        private: The server may have an address that is not public, and be spoken to without TLS.
        structured: How it is held to a form for its answers: by the schema, by JSON mode with the schema in words,
            or by words alone.
        max_tokens_member: What it calls the bound of an answer.

    Raises:
        InvalidUrlError: The URL is none that may be called.
    """

    def __init__(
        self,
        *,
        base_url: str,
        transport: HttpTransport,
        secrets: Secrets,
        clock: Clock,
        auth: Auth | None = None,
        private: bool = False,
        structured: Structured = "schema",
        max_tokens_member: MaxTokensMember = "max_tokens",
    ) -> None:
        target = target_of(base_url, _EveryHost() if private else ())
        path, question, query = target.path.partition("?")
        self._blank = HttpRequest(
            method="POST",
            origin=f"{'https' if target.tls else 'http'}://{target.authority}",
            target=f"{path.rstrip('/')}/chat/completions{question}{query}",
            headers=(
                ("content-type", "application/json"),
                ("accept", "application/json"),
                ("user-agent", "Flotilla/1.0"),
            ),
            body=None,
            private=private,
        )
        self._transport = transport
        self._credentials = Credentials(secrets, clock)
        self._clock = clock
        self._auth = auth
        self._structured: Structured = structured
        self._max_tokens_member: MaxTokensMember = max_tokens_member

    async def converse(self, model_id: str, request: ModelRequest, *, timeout_ms: int) -> ModelReply:
        """See `ModelProvider.converse`."""
        seconds = timeout_ms / 1000
        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                return await self._converse(model_id, request, seconds)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            message = f"{model_id} did not answer within {seconds:g} s"
            raise ModelUnavailableError(message, code="model_timeout") from error

    async def _converse(self, model_id: str, request: ModelRequest, seconds: float) -> ModelReply:
        asked = body_of(model_id, request, self._structured, self._max_tokens_member)
        body = json.dumps(asked, ensure_ascii=False, separators=(",", ":")).encode()
        bounds = HttpBounds(min(_CONNECT_SECONDS, seconds), seconds, _ANSWER_BYTES)
        credentials = await self._headers()
        answer = await self._sent(model_id, body, credentials, bounds)
        if answer.status == 401 and self._credentials.renewed(self._auth):
            credentials = await self._headers()
            answer = await self._sent(model_id, body, credentials, bounds)
        try:
            found = reply_of(answer, len(body)) if answer.status == 200 else failure_of(answer)
        except NoAnswerInsideError as error:
            raise _unusable(model_id) from error
        if isinstance(found, ModelReply):
            return found
        found = _without_secret(found, credentials)
        failure = error_of(model_id, found, answer, self._clock.now_ms())
        if isinstance(failure, ModelMisconfiguredError):
            _complain(model_id, found)
        raise failure

    async def _headers(self) -> _Headers:
        try:
            return await self._credentials.headers(self._auth)
        except (ParkedError, StoreUnavailableError) as error:
            # Another model may need no secret, or have one that can be read.
            raise ModelMisconfiguredError(error.message, code="model_secret") from error

    async def _sent(self, model_id: str, body: bytes, credentials: _Headers, bounds: HttpBounds) -> HttpAnswer:
        request = replace(
            self._blank, headers=(*self._blank.headers, *trace_context.headers(), *credentials), body=body
        )
        try:
            return await self._transport.send(request, bounds)
        except CrowdedError as error:
            message = f"all connections to {model_id} are in use"
            raise ModelThrottledError(message, code="model_crowded", retry_after_seconds=_CROWDED_SECONDS) from error
        except NotSentError as error:
            raise ModelUnavailableError(f"{model_id} could not be reached", code="model_unreachable") from error
        except NoAnswerError as error:
            code = "model_timeout" if error.code == "integration_timeout" else "model_no_answer"
            raise ModelUnavailableError(f"{model_id}: {error.message}", code=code) from error
        except UnusableAnswerError as error:
            raise _unusable(model_id) from error
        except ForbiddenCallError as error:
            raise ModelMisconfiguredError(f"{model_id} cannot be used: {error.message}") from error


def _without_secret(failure: Failure, credentials: _Headers) -> Failure:
    """The failure, where the server repeats what it was given, without that."""
    said = failure.said
    for _, value in credentials:
        said = said.replace(value.rpartition(" ")[2], "…")
    return replace(failure, said=said)


def _complain(model_id: str, failure: Failure) -> None:
    # Not for clients: it may name accounts.
    extra = {"model": model_id, "code": failure.code or failure.status, "said": failure.said[:_SAID_CHARACTERS]}
    logger.error("model misconfigured", extra=extra)


def _unusable(model_id: str) -> ModelUnavailableError:
    return ModelUnavailableError(f"{model_id} gave an answer that is none", code="model_answer_invalid")
