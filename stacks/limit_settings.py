"""`[limits]` of `fleet.toml`, and the `limit` of its agents: how many tasks may be submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from stacks.integration_settings import Rate
from stacks.settings_section import Section


class SubmitLimits(Section):
    """How often tasks may be submitted.

    Attributes:
        client: By each API key.
        tenant: By each tenant, with all its keys.
    """

    client: Rate | None = None
    tenant: Rate | None = None


class _Agent(Protocol):
    @property
    def limit(self) -> Rate | None: ...


def declared(limits: SubmitLimits, agents: Mapping[str, _Agent]) -> dict[str, Any]:
    """What the functions are told of limits on submits, in the library's layer: `{"limits": {name: …}}`."""
    named = {"client": limits.client, "tenant": limits.tenant}
    named |= {f"agent#{name}": agents[name].limit for name in sorted(agents)}
    return {"limits": {name: limit.model_dump() for name, limit in named.items() if limit is not None}}
