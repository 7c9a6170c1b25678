"""`/v1/dead-letters`: what failed, why, and having it run again. For operators: it shows the whole fleet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flotilla.agents.catalog import Catalog
from flotilla.clock import Clock, rfc3339
from flotilla.errors import InvalidInputError
from flotilla.primitives.cause import unreadable_cause
from flotilla.read_model import DeadFilter, Entry, UnreadableMessage
from flotilla.services.dead_letters import DeadLetterService, Group, Item, RedriveOrder
from flotilla.services.redrive import Correction, RedriveService
from flotilla.services.triage import MAX_BODY_CHARACTERS, unreadable_body_key
from functions.api.gateway import Response
from functions.api.reading import json_body, wrong_cursor
from functions.api.requests import DeadLetterListQuery, NoQuery, RedriveManyRequest, read, read_query
from functions.api.routing import Call
from functions.api.task_view import task_path
from functions.api.validation import InputValidators

_LONGEST_CALL_MS = 20_000
_ANSWER_MS = 5_000
"""Kept back of the call's time, for what was begun last and for the answer."""


class DeadLetterRoutes:
    """Answers the calls about dead letters.

    Args:
        dead_letters: Lists, counts and redrives them.
        redrive: Finds a task whose input is corrected.
        catalog: The deployed agents.
        validators: Check corrected inputs.
        download_link: Makes a short-lived link to what is too large to be shown, of its key.
        clock: Tells how long a call may go on.
    """

    def __init__(
        self,
        *,
        dead_letters: DeadLetterService,
        redrive: RedriveService,
        catalog: Catalog,
        validators: InputValidators,
        download_link: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._dead_letters = dead_letters
        self._redrive = redrive
        self._catalog = catalog
        self._validators = validators
        self._download_link = download_link
        self._clock = clock

    async def list(self, call: Call) -> Response:
        """`GET /v1/dead-letters`."""
        query = read_query(DeadLetterListQuery, call.request.query)
        wanted = DeadFilter(agent=query.agent, cause=query.cause)
        try:
            page = await self._dead_letters.page(wanted, limit=query.limit, cursor=query.cursor)
        except ValueError:
            raise wrong_cursor() from None
        items = [_letter(each) if isinstance(each, Entry) else self._unreadable(each) for each in page.items]
        return Response(200, {"items": items, "next_cursor": page.next_cursor})

    async def groups(self, call: Call) -> Response:
        """`GET /v1/dead-letters/groups`."""
        read_query(NoQuery, call.request.query)
        groups = await self._dead_letters.groups(give_up_ms=self._give_up_ms(call))
        items = [_group(group) for group in groups.items]
        return Response(200, {"items": items, "next_cursor": None, "complete": groups.complete})

    async def redrive(self, call: Call) -> Response:
        """`POST /v1/dead-letters/redrive`."""
        wanted = read(RedriveManyRequest, json_body(call.request))
        order = RedriveOrder(
            actor=call.identity.actor,
            request_id=call.request.request_id,
            wanted=_wanted(wanted),
            correction=await self._correction(wanted),
            dry_run=wanted.dry_run,
            rate_per_second=wanted.rate_per_second,
            cursor=wanted.cursor,
            give_up_ms=self._give_up_ms(call),
        )
        try:
            report = await self._dead_letters.redrive(order)
        except ValueError:
            raise InvalidInputError("The cursor is wrong.", [("/cursor", "must be as next_cursor gave it")]) from None
        call.log.update(redriven=report.redriven, remaining=report.remaining)
        return Response(
            200,
            {
                "items": [_outcome(item) for item in report.items],
                "matched": len(report.items) + report.remaining,
                "redriven": report.redriven,
                "remaining": report.remaining,
                "dry_run": wanted.dry_run,
                "next_cursor": report.next_cursor,
            },
        )

    def _give_up_ms(self, call: Call) -> int:
        return min(self._clock.now_ms() + _LONGEST_CALL_MS, call.request.ends_ms - _ANSWER_MS)

    async def _correction(self, wanted: RedriveManyRequest) -> Correction | None:
        if not wanted.corrects:
            return None
        if wanted.ids is None or len(wanted.ids) != 1:
            raise InvalidInputError("An input corrects one task.", [("/input", "needs ids with a single id")])
        found = await self._redrive.find(wanted.ids[0])
        if found is not None:
            self._validators.check(self._catalog.get(found.state.agent), wanted.input)
        return Correction(wanted.input)

    def _unreadable(self, message: UnreadableMessage) -> dict[str, Any]:
        cause = unreadable_cause(message)
        view: dict[str, Any] = {
            "id": message.message_id,
            "task_id": None,
            "message_id": message.message_id,
            "tenant": None,
            "agent": None,
            "lane": message.lane,
            "cause": cause.text,
            "fingerprint": cause.fingerprint,
            "message": message.reason,
            "attempts": None,
            "dead_lettered_at": rfc3339(message.received_at_ms),
            "reason": message.reason,
            "body": message.body[:MAX_BODY_CHARACTERS],
            "links": {},
        }
        if len(message.body) >= MAX_BODY_CHARACTERS:
            view["body_url"] = self._download_link(unreadable_body_key(message.lane, message.message_id))
        return view


def _letter(entry: Entry) -> dict[str, Any]:
    path = task_path(entry.task_id)
    return {
        "id": entry.task_id,
        "task_id": entry.task_id,
        "tenant": entry.tenant,
        "agent": entry.agent,
        "lane": entry.lane,
        "cause": None if entry.cause is None else entry.cause.text,
        "fingerprint": None if entry.cause is None else entry.cause.fingerprint,
        "message": entry.message,
        "attempts": entry.attempt,
        "dead_lettered_at": rfc3339(entry.head_at_ms if entry.finished_at_ms is None else entry.finished_at_ms),
        "links": {"self": path, "events": f"{path}/events", "redrive": f"{path}/redrive"},
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "agent": group.agent,
        "cause": group.cause.text,
        "fingerprint": group.cause.fingerprint,
        "count": group.count,
        "newest_at": rfc3339(group.newest_at_ms),
        "sample_task_id": group.sample_task_id,
    }


def _outcome(item: Item) -> dict[str, Any]:
    view = {"task_id": item.task_id, "agent": item.agent, "cause": item.cause, "outcome": item.outcome.value}
    return view if item.detail is None else view | {"detail": item.detail}


def _wanted(wanted: RedriveManyRequest) -> DeadFilter | tuple[str, ...]:
    if (wanted.filter is None) == (wanted.ids is None):
        raise InvalidInputError("Say what to redrive.", [("/filter", "is required, or ids, and only one of the two")])
    if wanted.ids is not None:
        return tuple(wanted.ids)
    assert wanted.filter is not None
    return DeadFilter(agent=wanted.filter.agent, cause=wanted.filter.cause)
