"""`GET /v1/usage`: what tasks used and cost, by agent, model, tenant or lane. For operators: of the whole fleet."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from flotilla.clock import Clock, rfc3339
from flotilla.errors import InvalidInputError
from flotilla.llm.declaration import Route
from flotilla.primitives.compute_cost import usd_of
from flotilla.primitives.usage_hour import HOUR_MS, UsageHour, hour_of
from flotilla.primitives.usage_sums import MemoryUse, Sums
from flotilla.services.usage import UsageService
from flotilla.services.usage_elsewhere import ModelPrice, elsewhere_nanos
from functions.api.gateway import Response
from functions.api.reading import wrong_cursor
from functions.api.requests import UsageQuery, read_query
from functions.api.routing import Call

_LONGEST_CALL_MS = 20_000
_ANSWER_MS = 5_000
"""Kept back of the call's time, for what was begun last and for the answer."""

_DEFAULT_HOURS = 24
_MOST_HOURS = 24 * 31
_DEAREST = 0.1
_HALF = 0.5


class UsageRoutes:
    """Answers the calls about usage.

    Args:
        usage: Knows it.
        price: The model that a route asks first, or the one of a name, and what it costs; None where there is none.
        clock: Tells what the latest hours are.
    """

    def __init__(
        self, usage: UsageService, price: Callable[[str | None, str | None], ModelPrice | None], clock: Clock
    ) -> None:
        self._usage = usage
        self._price = price
        self._clock = clock

    async def show(self, call: Call) -> Response:
        """`GET /v1/usage`: the dearest first; what goes on past a page is by its cursor."""
        query = read_query(UsageQuery, call.request.query)
        instead = self._instead(query)
        since_ms, until_ms, offset = self._span(query)
        give_up_ms = min(self._clock.now_ms() + _LONGEST_CALL_MS, call.request.ends_ms - _ANSWER_MS)
        reading = await self._usage.read(since_ms, until_ms, give_up_ms)
        used = reading.used
        members = sorted(used.groups[query.group_by].items(), key=lambda member: (-member[1].nanos, member[0]))
        page = members[offset : offset + query.limit]
        more = offset + len(page) < len(members)
        body: dict[str, Any] = {
            "items": [
                {query.group_by: name, **sums_view(sums, instead), **_memory_view(used, query.group_by, name)}
                for name, sums in page
            ],
            "next_cursor": _cursor(query, since_ms, until_ms, offset + len(page)) if more else None,
            "total": sums_view(used.total, instead),
            "pareto": _pareto(used),
            "since": rfc3339(reading.since_ms),
            "until": rfc3339(reading.until_ms),
            "complete": reading.complete,
        }
        if instead is not None:
            body["as_if"] = {"route": query.as_route, "model": instead.name}
        return Response(200, body)

    def _instead(self, query: UsageQuery) -> ModelPrice | None:
        if query.as_route is None and query.as_model is None:
            return None
        if query.as_route is not None and query.as_model is not None:
            raise InvalidInputError("A route or a model, not both.", [("?as_model", "cannot go with as_route")])
        found = self._price(query.as_route, query.as_model)
        if found is None:
            name = "as_route" if query.as_model is None else "as_model"
            raise InvalidInputError("There is none of that name.", [(f"?{name}", "is none that the fleet declares")])
        return found

    def _span(self, query: UsageQuery) -> tuple[int, int, int]:
        """The hours that are asked for, and what of the list was told before."""
        if query.cursor is not None:
            return _place(query)
        now_ms = self._clock.now_ms()
        until_ms = now_ms if query.until is None else query.until
        since_ms = until_ms - _DEFAULT_HOURS * HOUR_MS if query.since is None else query.since
        if since_ms < 0 or since_ms >= until_ms:
            raise InvalidInputError("It ends before it begins.", [("?since", "must be before until")])
        if hour_of(until_ms - 1) - hour_of(since_ms) > _MOST_HOURS * HOUR_MS:
            raise InvalidInputError("Too long.", [("?since", f"must be at most {_MOST_HOURS // 24} days before until")])
        return since_ms, until_ms, 0


def sums_view(sums: Sums, instead: ModelPrice | None) -> dict[str, Any]:
    """What was used, as clients see it."""
    view = {
        "tasks": sums.tasks,
        "succeeded": sums.succeeded,
        "dead_lettered": sums.dead_lettered,
        "cancelled": sums.cancelled,
        "expired": sums.expired,
        "cached": sums.cached,
        "attempts": sums.attempts,
        "cost_usd": usd_of(sums.nanos),
        "model_usd": usd_of(sums.model_nanos),
        "compute_usd": usd_of(sums.compute_nanos),
        "requests_usd": usd_of(sums.requests_nanos),
        "billed_ms": sums.billed_ms,
        "duration_ms": sums.duration_ms,
        "cpu_ms": round(sums.cpu_us / 1000, 1),
        "model_calls": sums.model_calls,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cached_input_tokens": sums.cached_input_tokens,
    }
    return view if instead is None else {**view, "as_if_model_usd": usd_of(elsewhere_nanos(sums, instead))}


def _memory_view(used: UsageHour, group: str, name: str) -> dict[str, Any]:
    if group != "lane":
        return {}
    return {"memory": [_use_view(mb, use) for mb, use in sorted(used.memory.get(name, {}).items())]}


def _use_view(memory_mb: int, use: MemoryUse) -> dict[str, Any]:
    return {
        "memory_mb": memory_mb,
        "attempts": use.attempts,
        "billed_ms": use.billed_ms,
        "duration_ms": use.duration_ms,
        "cpu_ms": round(use.cpu_us / 1000, 1),
        "compute_usd": usd_of(use.compute_nanos),
        "peak_memory_mb": use.peak_memory_mb or None,
    }


def _pareto(used: UsageHour) -> dict[str, Any]:
    made, needed = used.costs.share_of_dearest(_DEAREST), used.costs.tasks_for(_HALF)
    return {
        "task_share": _DEAREST,
        "cost_share": None if made is None else round(made, 4),
        "half_of_cost_by": None if needed is None else round(needed, 4),
    }


def _cursor(query: UsageQuery, since_ms: int, until_ms: int, offset: int) -> str:
    place = json.dumps([query.group_by, since_ms, until_ms, offset], separators=(",", ":"))
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(query: UsageQuery) -> tuple[int, int, int]:
    """What a cursor says. It is of the same list: later pages are of the same hours, whatever ended since."""
    cursor = query.cursor or ""
    try:
        group, since_ms, until_ms, offset = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        raise wrong_cursor() from None
    numbers = (since_ms, until_ms, offset)
    if group != query.group_by or not all(type(number) is int and number >= 0 for number in numbers):
        raise wrong_cursor()
    if not 0 < until_ms - since_ms <= (_MOST_HOURS + 1) * HOUR_MS:
        raise wrong_cursor()
    return since_ms, until_ms, offset


def priced(routes: Mapping[str, Route]) -> Callable[[str | None, str | None], ModelPrice | None]:
    """Finds a model of the declared `routes`: the one that a route asks first, or the one of a name."""

    def found(route: str | None, model: str | None) -> ModelPrice | None:
        if route is not None:
            models = [routes[route].models[0]] if route in routes else []
        else:
            models = [each for known in routes.values() for each in known.models if each.name == model]
        return None if not models else ModelPrice(models[0].name, models[0].price)

    return found
