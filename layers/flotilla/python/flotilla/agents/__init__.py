"""What an agent author imports: the decorator and the type of the context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flotilla.agents.context import Context, SyncContext
    from flotilla.agents.decorator import agent

__all__ = ["Context", "SyncContext", "agent"]

_HOMES = {
    "Context": "flotilla.agents.context",
    "SyncContext": "flotilla.agents.context",
    "agent": "flotilla.agents.decorator",
}


def __getattr__(name: str) -> Any:
    # Lazily, because `flotilla.agents.catalog` is imported by functions that never meet an agent and
    # must not pay for pydantic.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
