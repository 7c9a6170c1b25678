"""Models in memory."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from benchmarks.fault_lab.script import Chosen, Running, Script
from benchmarks.fault_lab.scripted_model import Answer, Asked, answer
from flotilla.llm.served import Served
from flotilla.llm_ports import (
    CONTEXT_TOO_LONG,
    ModelMisconfiguredError,
    ModelProvider,
    ModelRefusedError,
    ModelReply,
    ModelRequest,
    ModelThrottledError,
    ModelUnavailableError,
    StopReason,
    ToolCall,
)

_STOP_REASONS = {
    "end": StopReason.END,
    "tools": StopReason.TOOL_USE,
    "length": StopReason.MAX_TOKENS,
    "filtered": StopReason.FILTERED,
}


class MemoryModels:
    """`ModelProvider` by a script, on the time of the loop that runs; what it answers is what the scripted model does.

    Of a reply's body only one in the form of `said` is understood, and "too long" in that of a 400.

    Attributes:
        reachable: Whether a connection comes about.
        sent: What got through: seconds since the first, the model, the request.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._running: Running | None = None
        self._began = 0.0
        self.reachable = True
        self.sent: list[tuple[float, str, ModelRequest]] = []

    def follow(self, script: Script) -> None:
        """From now on do as `script` says."""
        self._script, self._running = script, None

    async def converse(self, model_id: str, request: ModelRequest, *, timeout_ms: int) -> ModelReply:
        now = asyncio.get_running_loop().time()
        if self._running is None:
            self._running, self._began = Running(self._script, now), self._began or now
        if not self.reachable:
            raise ModelUnavailableError(f"{model_id} could not be reached", code="model_unreachable")
        self.sent.append((now - self._began, model_id, request))
        chosen = self._running.meets(now)
        latency = float("inf") if chosen.reply.fault == "stall" else chosen.latency_ms / 1000
        if latency > timeout_ms / 1000:
            await asyncio.sleep(timeout_ms / 1000)
            raise ModelUnavailableError(f"{model_id} did not answer in time", code="model_timeout")
        await asyncio.sleep(latency)
        return _reply(model_id, request, chosen)


def said(given: Answer) -> bytes:
    """A body by which a script has `MemoryModels` answer."""
    value = {"text": given.text, "calls": given.calls, "stop": given.stop}
    return json.dumps(value | {"read": given.read, "written": given.written, "cached": given.cached}).encode()


def _reply(model_id: str, request: ModelRequest, chosen: Chosen) -> ModelReply:
    reply = chosen.reply
    wait = {name.lower(): value for name, value in reply.headers.items()}.get("retry-after")
    if reply.fault in ("reset", "cut"):
        raise ModelUnavailableError(f"{model_id} broke off", code="model_no_answer")
    if reply.status == 429:
        raise ModelThrottledError("fewer requests", retry_after_seconds=None if wait is None else float(wait))
    if reply.status >= 500:
        raise ModelUnavailableError(f"{model_id} failed", retry_after_seconds=None if wait is None else float(wait))
    if reply.status == 400:
        too_long = reply.body is not None and b"too long" in reply.body
        raise ModelRefusedError("wrong", code=CONTEXT_TOO_LONG if too_long else None)
    if reply.status != 200:
        raise ModelMisconfiguredError(f"{model_id} cannot be used")
    if reply.body is None:
        return _as_reply(answer(_asked(request)))
    try:
        value = json.loads(reply.body)
        return _as_reply(Answer(**{name: value[name] for name in Answer.__slots__}))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelUnavailableError("an answer that is none", code="model_answer_invalid") from error


def _asked(request: ModelRequest) -> Asked:
    last = request.messages[-1]
    asked = Asked(most=request.max_tokens, last=last.text)
    asked.texts = [request.system or "", *(message.text for message in request.messages)]
    asked.results = [{"error": each.content} if each.failed else each.content for each in last.tool_results]
    asked.tools = {tool.name: tool.input_schema for tool in request.tools}
    asked.form = request.output.schema if request.output else None
    return asked


def _as_reply(given: Answer) -> ModelReply:
    return ModelReply(
        text=given.text,
        tool_calls=tuple(ToolCall(f"call_{number}", name, value) for number, (name, value) in enumerate(given.calls)),
        stop_reason=_STOP_REASONS[given.stop],
        input_tokens=given.read,
        output_tokens=given.written,
        cached_input_tokens=given.cached,
    )


@dataclass
class OneModel:
    """`Converse` by one model of a provider, without anything in between."""

    provider: ModelProvider
    model_id: str = "one"
    calls: int = 0

    async def __call__(self, request: ModelRequest) -> Served:
        self.calls += 1
        reply = await self.provider.converse(self.model_id, request, timeout_ms=1000)
        return Served(reply, requested=self.model_id, served=self.model_id, cost_micros=7, latency_ms=1)


class Replies:
    """`Converse` that gives the replies it was made with, one after the other, and keeps what it was asked."""

    def __init__(self, *replies: ModelReply) -> None:
        self._replies = iter(replies)
        self.asked: list[ModelRequest] = []

    async def __call__(self, request: ModelRequest) -> Served:
        self.asked.append(request)
        await asyncio.sleep(0)
        return Served(next(self._replies), requested="one", served="one", cost_micros=7, latency_ms=1)
