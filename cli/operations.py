"""The contract's calls for who operates a fleet: dead letters, lanes, pauses, circuits, limits, webhooks.

All take a key with the scope `operate`, and show the whole fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Literal

from cli.calls import Calls, json_of, segment

Scope = Literal["fleet", "lane", "agent"]
State = Literal["active", "paused"]
CircuitMode = Literal["open", "closed", "auto"]

_LARGEST_PAGE = 100


class Operations:
    """Operates one deployment.

    Args:
        calls: Carries the calls.
        sleep: Lets seconds pass.
    """

    def __init__(self, calls: Calls, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._calls = calls
        self._sleep = sleep

    async def lanes(self) -> list[Any]:
        """The lanes, with how full they are.

        Raises:
            ApiError: It was refused, or the API could not be reached; as all the calls here.
        """
        return await self._calls.pages("/v1/lanes", operating=True)

    async def set_state(self, scope: Scope, name: str, state: State, reason: str) -> Any:
        """Pause or resume the fleet, a lane or an agent."""
        paths = {"fleet": "/v1/fleet/state", "lane": f"/v1/lanes/{segment(name)}/state"}
        path = paths.get(scope, f"/v1/agents/{segment(name)}/state")
        return json_of(await self._calls.call("PUT", path, json={"state": state, "reason": reason}, operating=True))

    async def circuits(self) -> list[Any]:
        """The circuits of integrations and models."""
        return await self._calls.pages("/v1/circuits", operating=True)

    async def force_circuit(self, name: str, mode: CircuitMode, reason: str | None) -> Any:
        """Hold a circuit open or closed, or leave it to itself."""
        path = f"/v1/circuits/{segment(name)}"
        return json_of(await self._calls.call("PUT", path, json={"state": mode, "reason": reason}, operating=True))

    async def limits(self) -> list[Any]:
        """The limits that are declared or set."""
        return await self._calls.pages("/v1/limits", operating=True)

    async def set_limit(self, name: str, rate_per_minute: int, burst: int) -> Any:
        """Set a limit, whatever is declared."""
        body = {"rate_per_minute": rate_per_minute, "burst": burst}
        return json_of(await self._calls.call("PUT", f"/v1/limits/{segment(name)}", json=body, operating=True))

    async def reset_limit(self, name: str) -> None:
        """Go back to what is declared of a limit."""
        await self._calls.call("DELETE", f"/v1/limits/{segment(name)}", operating=True)

    async def dead_letters(self, filters: Mapping[str, str | None], *, at_most: int) -> list[Any]:
        """Dead letters, newest first; `filters` are `agent` and `cause`."""
        wanted = _given(filters) | {"limit": str(min(at_most, _LARGEST_PAGE))}
        return await self._calls.pages("/v1/dead-letters", parameters=wanted, at_most=at_most, operating=True)

    async def dead_letter_groups(self) -> list[Any]:
        """Dead letters counted by agent and cause."""
        return await self._calls.pages("/v1/dead-letters/groups", operating=True)

    async def redrive(
        self,
        wanted: Mapping[str, Any],
        *,
        dry_run: bool,
        rate_per_second: float | None,
    ) -> AsyncIterator[Any]:
        """Redrive dead letters, call by call until none is left that was asked for.

        Args:
            wanted: `{"ids": [...]}`, with `input` where one task gets a corrected one, or `{"filter": {...}}`.
            dry_run: Only say what would be done.
            rate_per_second: No faster than this.
        """
        body: dict[str, Any] = {**wanted, "dry_run": dry_run}
        if rate_per_second is not None:
            body["rate_per_second"] = rate_per_second
        while True:
            answer = json_of(await self._calls.call("POST", "/v1/dead-letters/redrive", json=body, operating=True))
            for item in answer["items"]:
                yield item
            if not answer.get("next_cursor"):
                return
            body["cursor"] = answer["next_cursor"]

    async def usage(self, wanted: Mapping[str, str | None]) -> Any:
        """What tasks used: the API's answer, with the items of all its pages."""
        parameters = _given(wanted)
        answer = json_of(await self._calls.call("GET", "/v1/usage", params=parameters, operating=True))
        while answer["next_cursor"]:
            page = {**parameters, "cursor": answer["next_cursor"]}
            more = json_of(await self._calls.call("GET", "/v1/usage", params=page, operating=True))
            answer = {**answer, "items": [*answer["items"], *more["items"]], "next_cursor": more["next_cursor"]}
        return answer

    async def webhooks(self) -> list[Any]:
        """The endpoints of the key's tenant."""
        return await self._calls.pages("/v1/webhooks", operating=True)


def _given(filters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in filters.items() if value is not None}
