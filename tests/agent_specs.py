"""Agents of a catalog that need no code, for the tests that look only at what is declared of them."""

from __future__ import annotations

from typing import Any

from flotilla.agents.catalog import AgentSpec


def agent_spec(name: str, **declared: Any) -> AgentSpec:
    """An agent with the decorator's defaults; `declared` replaces any of them."""
    members: dict[str, Any] = {
        "version": "1",
        "module": "nowhere",
        "function": "nothing",
        "is_async": True,
        "lane": None,
        "timeout_seconds": 60.0,
        "max_attempts": 4,
        "backoff_base_seconds": 1.0,
        "backoff_cap_seconds": 300.0,
        "integrations": (),
        "cache_ttl_seconds": None,
        "input_schema": {},
        "output_schema": {},
    }
    return AgentSpec(name=name, **members | declared)
