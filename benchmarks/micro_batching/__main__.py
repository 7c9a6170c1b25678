"""What do tasks save that share calls to a model, and what does it cost them in time?

The same tasks, in batches of ten as a worker is handed them, once each by itself and then together, through all that a
call goes through but the network: gathering, route, circuit, limits. The model is scripted: it counts four characters
as a token, writes as fast as one of its kind does, and makes the mistakes that it is told to. Time is virtual, so the
numbers are the same wherever this runs. Every task gets its own right answer, or this fails.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from pydantic import BaseModel

from benchmarks.report import publish, table
from flotilla.llm.client import Llm
from flotilla.llm.declaration import Route, routes_in
from flotilla.llm.together import FORM_NAME, Ask
from flotilla.llm.usage import UsageMeter
from flotilla.llm_ports import ModelReply, ModelRequest
from flotilla.services.dependency import Dependencies
from flotilla.services.limits import Limiter
from flotilla.services.micro_batching import MicroBatches
from flotilla.services.model_protection import ModelProtections
from flotilla.services.models import ModelCaller, ModelDesk, RouteCalls
from flotilla.services.roster import Roster, Seat
from stacks.config import parse
from stacks.model_settings import declared
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.limits import MemoryBuckets
from tests.fakes.virtual_time import EPOCH_MS, VirtualClock, run_virtually

_TASKS = 1000
_BATCH = 10
_INSTRUCTION_TOKENS = 800
_ITEM_TOKENS = 100
_CHARACTERS_PER_TOKEN = 4

_FIRST_TOKEN_SECONDS = 0.4
_INPUT_TOKENS_PER_SECOND = 10_000
_OUTPUT_TOKENS_PER_SECOND = 100

_AIM = 0.35

_FLEET = """
[models.small]
id = "vendor.small"
price = { input_usd = 1.0, output_usd = 5.0 }

[routes.fast]
models = ["small"]
timeout_seconds = 60
"""

_PROSE = "the mail asks about an order that has not come yet and wants its money back or a new one by friday "


class _Verdict(BaseModel):
    """What is asked of each mail; about twenty tokens."""

    number: int
    category: str
    urgent: bool
    reply_needed: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """One way of running the tasks.

    Attributes:
        max_items: In one call.
        lost: How often an answer is left out of those of a call.
        unreadable: How often the answers to a call cannot be told apart at all.
    """

    name: str
    max_items: int
    lost: float = 0.0
    unreadable: float = 0.0
    instruction_tokens: int = _INSTRUCTION_TOKENS


@dataclass(slots=True)
class _Model:
    """`ModelProvider` by a script."""

    plan: _Plan
    chance: random.Random
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    async def converse(
        self,
        model_id: str,  # noqa: ARG002 - of a port
        request: ModelRequest,
        *,
        timeout_ms: int,  # noqa: ARG002 - of a port
    ) -> ModelReply:
        """See `ModelProvider.converse`."""
        text = self._text(request)
        asked = _tokens((request.system or "") + request.messages[0].text)
        if request.output is not None:
            asked += _tokens(json.dumps(dict(request.output.schema)))
        answered = _tokens(text)
        self.calls += 1
        self.input_tokens += asked
        self.output_tokens += answered
        await asyncio.sleep(
            _FIRST_TOKEN_SECONDS + asked / _INPUT_TOKENS_PER_SECOND + answered / _OUTPUT_TOKENS_PER_SECOND
        )
        return ModelReply(text=text, input_tokens=asked, output_tokens=answered)

    def _text(self, request: ModelRequest) -> str:
        asked = request.messages[0].text
        if request.output is None or request.output.name != FORM_NAME:
            return _answer(asked).model_dump_json()
        if self.chance.random() < self.plan.unreadable:
            return "Here are the answers that you asked for: " + "…" * 40
        lines = [json.loads(line) for line in asked.splitlines()]
        answers = [
            {"item": line["item"], "answer": _answer(line["content"]).model_dump()}
            for line in lines
            if self.chance.random() >= self.plan.lost
        ]
        return json.dumps({"answers": answers}, separators=(",", ":"))


@dataclass(slots=True)
class _Run:
    """What came of a plan."""

    plan: _Plan
    model: _Model
    seconds: list[float] = field(default_factory=list)
    usages: list[dict[str, float]] = field(default_factory=list)

    @property
    def dollars(self) -> float:
        """Of all tasks."""
        return sum(usage["cost_usd"] for usage in self.usages)


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _prose(tokens: int, first: str) -> str:
    characters = tokens * _CHARACTERS_PER_TOKEN
    return f"{first} {_PROSE * (characters // len(_PROSE) + 1)}"[:characters]


def _mail(number: int) -> str:
    return _prose(_ITEM_TOKENS, f"Mail {number}:")


def _answer(mail: str) -> _Verdict:
    number = int(mail.removeprefix("Mail ").partition(":")[0])
    return _Verdict(number=number, category="delivery", urgent=number % 7 == 0, reply_needed=number % 2 == 0)


def _routes() -> dict[str, Route]:
    fleet = parse(_FLEET)
    return routes_in(json.dumps(declared(fleet.models, fleet.routes)))


async def _task(run: _Run, batches: MicroBatches, roster: Roster, desk: ModelDesk, number: int) -> None:
    """One attempt: it asks, and is counted."""
    meter = UsageMeter()
    caller = ModelCaller(
        name=f"tsk_{number}/1", agent="mail.sort", ends_ms=EPOCH_MS * 2, supervisor=_Free(), meter=meter
    )
    calls = desk.calls(("fast",), caller)
    with roster.seat("acme", "mail.sort") as seat:
        llm = Llm(calls, together=partial(_together, batches, seat, calls))
        found = await llm.generate_together(
            route="fast",
            instructions=_prose(run.plan.instruction_tokens, "Sort the mail."),
            item=_mail(number),
            output=_Verdict,
            max_tokens=100,
            max_items=run.plan.max_items,
        )
    if found != _answer(_mail(number)):
        raise RuntimeError(f"task {number} got {found}")
    run.seconds.append(asyncio.get_running_loop().time())
    run.usages.append(meter.to_json())


async def _together(batches: MicroBatches, seat: Seat, calls: RouteCalls, ask: Ask[_Verdict]) -> _Verdict:
    return await batches.generate(seat, calls, ask)


class _Free:
    """`Supervisor` of an attempt that nobody stops."""

    async def go_on(self) -> None:
        """See `Supervisor.go_on`."""


async def _batch(run: _Run, numbers: Sequence[int]) -> None:
    """One invocation, in a process of its own."""
    clock, chance, roster = VirtualClock(), random.Random(7), Roster()
    protections = ModelProtections(
        Dependencies(
            circuits=MemoryCircuits(),
            limiter=Limiter(MemoryBuckets(), clock, chance),
            clock=clock,
            random=chance,
            environment="benchmark",
        )
    )
    desk = ModelDesk(_routes(), provide=lambda _model: run.model, protect=protections.of, clock=clock, random=chance)
    batches = MicroBatches(clock, roster)
    await asyncio.gather(*(_task(run, batches, roster, desk, number) for number in numbers))
    await roster.close()


def _measured(plan: _Plan, tasks: int) -> _Run:
    run = _Run(plan, _Model(plan, random.Random(11)))
    for first in range(0, tasks, _BATCH):
        run_virtually(_batch(run, range(first, first + _BATCH)))
    counted = sum(usage["input_tokens"] for usage in run.usages)
    if counted != run.model.input_tokens:
        raise RuntimeError(f"{run.model.input_tokens} tokens were used and {counted} counted")
    return run


def _row(run: _Run, alone: _Run) -> list[str]:
    tasks = len(run.usages)
    return [
        run.plan.name,
        f"{run.model.calls / tasks:.3f}",
        f"{run.model.input_tokens / tasks:.0f}",
        f"{run.model.output_tokens / tasks:.0f}",
        f"{run.dollars / tasks * 1_000_000:,.0f}",
        f"{1 - run.dollars / alone.dollars:.0%}",
        f"{statistics.median(run.seconds):.2f}",
        f"{max(run.seconds):.2f}",
    ]


def main() -> int:
    """Measure, print and keep the result; exit status 1 where ten at once cost more than the aim."""
    plans = [
        _Plan("each alone", 1),
        _Plan("2 at once", 2),
        _Plan("5 at once", 5),
        _Plan("10 at once", 10),
        _Plan("10, of 100 answers 2 lost", 10, lost=0.02),
        _Plan("10, of 100 calls 5 unreadable", 10, unreadable=0.05),
        _Plan("10, of 100 calls 20 unreadable", 10, unreadable=0.2),
    ]
    runs = [_measured(plan, _TASKS) for plan in plans]
    alone, ten = runs[0], runs[3]
    heading = ["", "calls", "input tokens", "output tokens", "$ for a million", "saved", "median s", "longest s"]
    setting = (
        f"For a task: instructions of {_INSTRUCTION_TOKENS} tokens, items of {_ITEM_TOKENS}, at $1 and $5 for a "
        f"million tokens in and out. {_TASKS:,} tasks in batches of {_BATCH}; seconds are from an attempt's start to "
        "its answer. "
        "Every task got its own right answer, and what was counted for the tasks sums to what the model counted."
    )
    time = (
        "The model takes 0.4 s to its first token, reads 10,000 tokens a second and writes 100. It writes the answers "
        "of a call one after the other, so each waits for all of them: that is the price. What it buys depends on how "
        "long the instructions are:"
    )
    parts = [setting, table(heading, [_row(run, alone) for run in runs]), time]
    rows = []
    for tokens in (50, 200, 800, 2000):
        each, shared = (_measured(_Plan("", items, instruction_tokens=tokens), _TASKS // 10) for items in (1, _BATCH))
        rows.append(
            [
                f"{tokens:,}",
                f"{each.model.input_tokens / len(each.usages):.0f}",
                f"{shared.model.input_tokens / len(shared.usages):.0f}",
                f"{1 - shared.dollars / each.dollars:.0%}",
                f"{statistics.median(shared.seconds) - statistics.median(each.seconds):.2f}",
            ]
        )
    heading = ["instructions, tokens", "input tokens alone", "10 at once", "dollars saved", "seconds longer"]
    parts += [table(heading, rows), f"Aim: ten at once cost at most {_AIM:.0%} of each alone, no mistakes made."]
    publish(__file__, "What sharing calls to a model saves", "\n\n".join(parts))
    return 0 if ten.dollars <= alone.dollars * _AIM else 1


if __name__ == "__main__":
    sys.exit(main())
