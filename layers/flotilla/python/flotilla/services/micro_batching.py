"""Calls to models that the attempts of one invocation make together.

    attempt ──item──┐                       ┌──answer──> attempt
    attempt ──item──┼─ gathered ─> one call ┼──answer──> attempt
    attempt ──item──┘                       └──(none)──> attempt ─> a call of its own

Items are gathered until all attempts that could still bring one wait for an answer or are over, at the longest for the
patience of the least patient. Invariant: no attempt's end, failure or wrong answer is another's. One that is cancelled
takes nothing with it, one whose budget refuses stays out, and what cannot be told apart is asked again, each by itself.
Items are shared only within one tenant and agent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from flotilla.clock import Clock
from flotilla.errors import PermanentError, RetryableError
from flotilla.llm.served import Served
from flotilla.llm.together import (
    Ask,
    Form,
    Room,
    Valid,
    asked_alone,
    checked,
    combined_request,
    estimated_tokens,
    form_of,
    line_of,
    plain,
    told_apart,
    weights_of,
)
from flotilla.llm_ports import ModelRequest
from flotilla.models import canonical_json
from flotilla.services.roster import Roster, Seat
from flotilla.services.shared_caller import LeftOutError

logger = logging.getLogger("flotilla.llm")

T = TypeVar("T")

_CLOSE_SECONDS = 1.0


class SharableCalls(Protocol):
    """One attempt's calls to models."""

    async def converse(self, route: str, request: ModelRequest, quality: str | None = None) -> Served:
        """Make a call of the attempt's own. See `Llm.converse`."""
        ...

    def shared(self, parties: Sequence[Any], weights: Sequence[int]) -> SharableCalls:
        """Calls that several attempts make as one: each is asked whether it may go on, and bears its share.

        What their `converse` raises besides: `LeftOutError`, where some cannot take part.

        Args:
            parties: The calls of all of them, this one included.
            weights: What part each bears.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Like:
    """What calls have in common that can be made together."""

    tenant: str
    agent: str
    route: str
    instructions: str
    form: str
    max_tokens: int
    temperature: float | None
    quality: str | None
    max_items: int


@dataclass(frozen=True, slots=True)
class _Told:
    """What a model said to an item, unchecked."""

    answer: Any


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """An item that waits for its answer.

    Attributes:
        item: JSON values.
        length: Its estimated tokens.
        answer: What became of it; None to ask for it alone. Cancelled as soon as nobody waits any more.
    """

    calls: SharableCalls
    item: Any
    length: int
    answer: asyncio.Future[_Told | None]


@dataclass(slots=True, eq=False)
class _Gathering:
    """Items on their way into one call, and then in it."""

    like: _Like
    ask: Ask[Any]
    form: Form[Any]
    room: Room
    until_ms: int
    members: list[_Member] = field(default_factory=list)
    closed: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def takes(self, length: int) -> bool:
        return self.room.takes([member.length for member in self.waiting()], length, self.like.max_tokens)

    def waiting(self) -> list[_Member]:
        return [member for member in self.members if not member.answer.done()]


class MicroBatches:
    """The shared calls of one invocation.

    Args:
        clock: Time.
        roster: Says whom to wait for.
        room: The most that goes into one call.
    """

    def __init__(self, clock: Clock, roster: Roster, room: Room | None = None) -> None:
        self._clock = clock
        self._roster = roster
        self._room = room or Room()
        self._open: dict[_Like, _Gathering] = {}
        self._running: set[asyncio.Task[None]] = set()
        roster.tell(self._stir, self.close)

    async def close(self) -> None:
        """Let calls end that nobody waits for any more, before the process stands still; a second at the most."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=_CLOSE_SECONDS)

    async def generate(self, seat: Seat, calls: SharableCalls, ask: Ask[T]) -> T:
        """Have a model answer for one item, together with what others ask for at the same time.

        Args:
            seat: The attempt that asks.
            calls: Its calls.
            ask: What it wants.

        Raises:
            FlotillaError: As `Llm.generate_together`.
        """
        item = plain(ask.item)
        form = form_of(ask.output)
        length = estimated_tokens(line_of(1, item))
        shares = ask.max_items > 1 and not seat.apart
        if shares and self._room.takes((), length, ask.max_tokens):
            member = _Member(calls, item, length, asyncio.get_running_loop().create_future())
            with seat.waiting():
                told = await self._answer(self._joined(seat, member, ask, form), member)
            found = None if told is None else checked(form.answer, told.answer)
            if isinstance(found, Valid):
                return found.value
        with seat.waiting():
            return await asked_alone(partial(calls.converse, ask.route, quality=ask.quality), ask, item)

    def _joined(self, seat: Seat, member: _Member, ask: Ask[Any], form: Form[Any]) -> _Gathering:
        like = _Like(
            tenant=seat.tenant,
            agent=seat.agent,
            route=ask.route,
            instructions=ask.instructions,
            form=canonical_json(form.together.schema),
            max_tokens=ask.max_tokens,
            temperature=ask.temperature,
            quality=ask.quality,
            max_items=ask.max_items,
        )
        until_ms = self._clock.now_ms() + max(0, ask.patience_ms)
        gathering = self._open.get(like)
        if gathering is not None and not gathering.takes(member.length):
            self._close(gathering)
            gathering = None
        if gathering is None:
            items = min(ask.max_items, self._room.items)
            room = Room(items, self._room.input_tokens, self._room.answer_tokens)
            gathering = self._open[like] = _Gathering(like, ask, form, room, until_ms)
            gathering.task = asyncio.ensure_future(self._run(gathering))
            self._running.add(gathering.task)
            gathering.task.add_done_callback(partial(self._ended, gathering))
        gathering.members.append(member)
        gathering.until_ms = min(gathering.until_ms, until_ms)
        gathering.changed.set()
        return gathering

    async def _answer(self, gathering: _Gathering, member: _Member) -> _Told | None:
        try:
            return await member.answer
        except asyncio.CancelledError:
            self._left(gathering, member)
            raise

    def _left(self, gathering: _Gathering, member: _Member) -> None:
        """An attempt was cancelled while it waited."""
        if member.answer.done() and not member.answer.cancelled():
            member.answer.exception()  # seen, so that the loop does not report it: its attempt was cancelled first
        if not gathering.waiting() and gathering.task is not None:
            self._close(gathering)  # at once: nobody may join what ends
            gathering.task.cancel()

    def _close(self, gathering: _Gathering) -> None:
        if self._open.get(gathering.like) is gathering:
            del self._open[gathering.like]
        gathering.closed = True
        gathering.changed.set()

    def _stir(self) -> None:
        for gathering in self._open.values():
            gathering.changed.set()

    async def _run(self, gathering: _Gathering) -> None:
        try:
            await self._gathered(gathering)
            await self._ask(gathering)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for those who wait to raise
            _fail(gathering.waiting(), error)

    def _ended(self, gathering: _Gathering, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._close(gathering)
        # The invocation is over, and what still waits is code that outlived its attempt.
        _fail(gathering.waiting(), RetryableError("a call shared with others broke off", code="broken_off"))

    async def _gathered(self, gathering: _Gathering) -> None:
        """Return as soon as the gathering is worth no more wait, and close it."""
        while not gathering.closed and (seconds := self._seconds_left(gathering)) > 0:
            gathering.changed.clear()
            change = asyncio.ensure_future(gathering.changed.wait())
            time = asyncio.ensure_future(self._clock.sleep(seconds))
            try:
                done, _ = await asyncio.wait({change, time}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                change.cancel()
                time.cancel()
            if time in done:
                break  # whatever the clock says: it may have been set back
        self._close(gathering)

    def _seconds_left(self, gathering: _Gathering) -> float:
        like = gathering.like
        if not self._roster.expects(like.tenant, like.agent) or not gathering.takes(1):
            return 0.0
        return (gathering.until_ms - self._clock.now_ms()) / 1000

    async def _ask(self, gathering: _Gathering) -> None:
        while len(members := gathering.waiting()) > 1:
            try:
                served = await self._together(gathering, members)
            except LeftOutError as error:
                for place in error.places or range(len(members)):
                    _answer(members[place], None)
                continue
            except PermanentError as error:
                # It may be one item that is refused, or all of them for their length. Alone each is judged by itself.
                logger.info("shared call refused", extra={"items": len(members), "code": error.code})
                break
            answers = told_apart(served.reply, len(members)) or {}
            logger.info(
                "shared call",
                extra={"items": len(members), "answers": len(answers), "route": gathering.like.route},
            )
            for number, member in enumerate(members, 1):
                _answer(member, _Told(answers[number]) if number in answers else None)
            return
        for member in gathering.waiting():
            _answer(member, None)

    async def _together(self, gathering: _Gathering, members: Sequence[_Member]) -> Served:
        like = gathering.like
        request = combined_request(
            like.instructions,
            [member.item for member in members],
            gathering.form.together,
            max_tokens=like.max_tokens,
            temperature=like.temperature,
        )
        weights = weights_of([member.length for member in members], estimated_tokens(request.system or ""))
        calls = members[0].calls.shared([member.calls for member in members], weights)
        return await calls.converse(like.route, request, like.quality)


def _answer(member: _Member, told: _Told | None) -> None:
    if not member.answer.done():
        member.answer.set_result(told)


def _fail(members: Sequence[_Member], error: Exception) -> None:
    for member in members:
        if not member.answer.done():
            member.answer.set_exception(_own(error))


def _own(error: Exception) -> Exception:
    """The error as another instance: each attempt adds its own traceback and context to what it raises."""
    own: Exception = type(error).__new__(type(error), *error.args)
    own.args = error.args
    own.__dict__.update(error.__dict__)
    own.__cause__ = error
    return own
