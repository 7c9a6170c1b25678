"""Attempts of one invocation that ask a scripted model, on virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from flotilla.llm.served import Served
from flotilla.llm.together import FORM_NAME, Ask, Room, shares
from flotilla.llm_ports import ModelReply, ModelRequest
from flotilla.services.micro_batching import MicroBatches
from flotilla.services.roster import Roster
from flotilla.services.shared_caller import LeftOutError
from tests.fakes.virtual_time import VirtualClock, run_virtually


class Label(BaseModel):
    label: str


def its_own(item: Any) -> Label:
    return Label(**label(item))


Answerer = Callable[[ModelRequest], ModelReply]


def is_combined(request: ModelRequest) -> bool:
    return request.output is not None and request.output.name == FORM_NAME


def contents(request: ModelRequest) -> list[Any]:
    """The items of a request."""
    text = request.messages[0].text
    return [json.loads(line)["content"] for line in text.splitlines()] if is_combined(request) else [text]


def entries(request: ModelRequest) -> list[dict[str, Any]]:
    """What a good model answers to a combined request."""
    return [{"item": number, "answer": label(item)} for number, item in enumerate(contents(request), 1)]


def mails(count: int) -> list[str]:
    return [f"mail {number}" for number in range(count)]


def label(item: Any) -> dict[str, str]:
    return {"label": f"that of {item}"}


def as_reply(answers: Any) -> ModelReply:
    text = answers if isinstance(answers, str) else json.dumps({"answers": answers})
    return ModelReply(text=text, input_tokens=1000, output_tokens=101)


def well(request: ModelRequest) -> ModelReply:
    """What a good model answers."""
    if is_combined(request):
        return as_reply(entries(request))
    return ModelReply(text=json.dumps(label(contents(request)[0])), input_tokens=300, output_tokens=10)


def when_combined(change: Callable[[list[dict[str, Any]]], Any]) -> Answerer:
    """A model that is good at single items only."""

    def answer(request: ModelRequest) -> ModelReply:
        return as_reply(change(entries(request))) if is_combined(request) else well(request)

    return answer


@dataclass
class Model:
    """Answers after a while; notes what it was asked and when, and what was cut short."""

    answer: Answerer = well
    seconds: float = 1.0
    asked: list[tuple[float, ModelRequest]] = field(default_factory=list)
    cut: list[float] = field(default_factory=list)

    async def converse(self, request: ModelRequest) -> Served:
        loop = asyncio.get_running_loop()
        self.asked.append((loop.time(), request))
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cut.append(loop.time())
            raise
        return Served(self.answer(request), "small", "small", cost_micros=1001, latency_ms=int(self.seconds * 1000))

    def sizes(self) -> list[int]:
        return [len(contents(request)) for _, request in self.asked]

    def together(self) -> list[list[Any]]:
        """The items of each combined request, in order."""
        return [contents(request) for _, request in self.asked if is_combined(request)]

    def times(self) -> list[float]:
        return [round(at, 3) for at, _ in self.asked]


@dataclass
class Calls:
    """`SharableCalls` of one attempt.

    Attributes:
        refusal: What keeps it from making a call, or sharing one.
        alone: It can make calls, but not share them.
        served: What it bears of each call.
    """

    model: Model
    refusal: Exception | None = None
    alone: bool = False
    served: list[Served] = field(default_factory=list)

    async def converse(self, route: str, request: ModelRequest, quality: str | None = None) -> Served:
        if self.refusal is not None:
            raise self.refusal
        served = await self.model.converse(request)
        self.served.append(served)
        return served

    def shared(self, parties: Sequence[Any], weights: Sequence[int]) -> SharedCalls:
        return SharedCalls(self.model, list(parties), list(weights))


@dataclass
class SharedCalls:
    model: Model
    parties: list[Calls]
    weights: list[int]

    async def converse(self, route: str, request: ModelRequest, quality: str | None = None) -> Served:
        out = [place for place, one in enumerate(self.parties) if one.refusal is not None or one.alone]
        if out:
            raise LeftOutError(out)
        served = await self.model.converse(request)
        for party, cost in zip(self.parties, shares(served.cost_micros, self.weights), strict=True):
            party.served.append(replace(served, cost_micros=cost))
        return served

    def shared(self, parties: Sequence[Any], weights: Sequence[int]) -> SharedCalls:
        raise AssertionError("shared already")


class World:
    """One invocation."""

    def __init__(self, answer: Answerer = well, *, room: Room | None = None, seconds: float = 1.0) -> None:
        self.model = Model(answer, seconds)
        self.roster = Roster()
        self.batches = MicroBatches(VirtualClock(), self.roster, room)
        self.calls: dict[Any, Calls] = {}
        self.ended: dict[Any, float] = {}

    async def attempt(
        self,
        item: Any,
        *,
        after: float = 0.0,
        tenant: str = "acme",
        agent: str = "mail.label",
        asks: bool = True,
        refusal: Exception | None = None,
        alone: bool = False,
        **options: Any,
    ) -> Label | None:
        """One attempt from its beginning: works a while, and asks for one item."""
        calls = self.calls[str(item)] = Calls(self.model, refusal, alone)
        with self.roster.seat(tenant, agent) as seat:
            await asyncio.sleep(after)
            found = await self.batches.generate(seat, calls, asking(item, **options)) if asks else None
        self.ended[str(item)] = round(asyncio.get_running_loop().time(), 3)
        return found

    def run(self, *attempts: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run attempts at once; what they raise is what they come to."""

        async def all_of_it() -> list[Any]:
            return await asyncio.gather(*attempts, return_exceptions=True)

        return run_virtually(all_of_it())


def asking(item: Any, **options: Any) -> Ask[Any]:
    """An ask, with as little said as possible."""
    default: dict[str, Any] = {
        "route": "fast",
        "instructions": "Label the mail.",
        "output": Label,
        "max_tokens": 100,
        "temperature": None,
        "quality": None,
        "max_items": 10,
        "patience_ms": 200,
    }
    return Ask(item=item, **{**default, **options})


async def cancelled_after(work: Any, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await work
