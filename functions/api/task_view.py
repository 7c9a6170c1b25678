"""A task as clients see it: every member of the contract, always, null where it is not known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flotilla.clock import rfc3339
from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.events import TaskState
from flotilla.models import Payload, canonical_json
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.notices import waiting_view

logger = logging.getLogger("flotilla.api")

MAX_INLINE_BYTES = 1_048_576
"""A value whose JSON is longer is shown as a link."""

MAX_LISTED_BYTES = 4096
"""A value whose JSON is longer is left out of lists: a hundred tasks must fit one response."""

_VALUES = ("input", "output")
_MAY_BE_LARGE = ("input", "output", "labels")

_NO_USAGE: dict[str, Any] = {
    "duration_ms": None,
    "billed_ms": None,
    "cpu_ms": None,
    "memory_mb": None,
    "peak_memory_mb": None,
    "compute_usd": 0.0,
    "model_calls": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "cost_usd": 0.0,
    "models": {},
    "cached": False,
    "failovers": [],
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is shown of a value: itself, a link to it, or that it is gone."""

    value: Any = None
    link: str | None = None
    gone: bool = False


def task_path(task_id: str) -> str:
    """Where a task is found."""
    return f"/v1/tasks/{task_id}"


class TaskViews:
    """Shows tasks.

    Args:
        claim_check: Fetches inputs and outputs that lie outside the log.
        download_link: Makes a short-lived link to what is too large to be shown, of its key.
    """

    def __init__(self, claim_check: ClaimCheck, download_link: Callable[[str], str]) -> None:
        self._claim_check = claim_check
        self._download_link = download_link

    async def show(self, state: TaskState) -> dict[str, Any]:
        """The task. `input_url` and `output_url` stand beside a null only where the value is too large.

        A value that is gone from the payload store is null, and named by `omitted`: the rest of the task is shown all
        the same.

        Raises:
            StoreUnavailableError: The payload store did not answer.
        """
        values = await self.values(state)
        return _view(state, values["input"], values["output"]) | values

    async def values(self, state: TaskState) -> dict[str, Any]:
        """The `input` and `output` of a task, and what is said of those that are not told.

        Raises:
            StoreUnavailableError: The payload store did not answer.
        """
        shown = dict(zip(_VALUES, await asyncio.gather(*map(self._shown, (state.input, state.output))), strict=True))
        values: dict[str, Any] = {name: each.value for name, each in shown.items()}
        values |= {f"{name}_url": each.link for name, each in shown.items() if each.link is not None}
        gone = [name for name, each in shown.items() if each.gone]
        return values | {"omitted": gone} if gone else values

    def show_in_list(self, state: TaskState) -> dict[str, Any]:
        """The task as one of many: a value that is not small is null, and named by `omitted`."""
        return in_list(state, _view(state, None, None))

    async def _shown(self, payload: Payload | None) -> _Shown:
        if payload is None:
            return _Shown()
        if payload.ref is not None and payload.size_bytes > MAX_INLINE_BYTES:
            return _Shown(link=self._download_link(payload.ref))
        try:
            return _Shown(await self._claim_check.check_out(payload))
        except StoreUnavailableError:
            raise
        except RetryableError:
            logger.error("a payload is gone", extra={"key": payload.ref})
            return _Shown(gone=True)


def in_list(state: TaskState, view: dict[str, Any]) -> dict[str, Any]:
    """The view of a task as it stands in lists, with what is small of its values."""
    outside = {name for name in _VALUES if (held := getattr(state, name)) and held.ref is not None}
    view |= {
        "input": None if "input" in outside else state.input.inline,
        "output": None if "output" in outside or state.output is None else state.output.inline,
    }
    omitted = [name for name in _MAY_BE_LARGE if name in outside or _size(view[name]) > MAX_LISTED_BYTES]
    return view | dict.fromkeys(omitted) | {"omitted": omitted} if omitted else view


def _size(value: Any) -> int:
    return len(canonical_json(value).encode())


def _view(state: TaskState, task_input: Any, output: Any) -> dict[str, Any]:
    path = task_path(state.task_id)
    return {
        "id": state.task_id,
        "tenant": state.tenant,
        "agent": state.agent,
        "agent_version": state.agent_version,
        "lane": state.lane,
        "session": state.session,
        "status": state.status.value,
        "attempt": state.attempt,
        "max_attempts": state.max_attempts,
        "created_at": _time(state.created_at_ms),
        "due_at": _time(state.due_at_ms if state.next_attempt_ms is None else state.next_attempt_ms),
        "started_at": _time(state.started_at_ms),
        "finished_at": _time(state.finished_at_ms),
        "deadline": _time(state.deadline_ms),
        "budget_usd": None if state.budget_micros is None else state.budget_micros / 1_000_000,
        "parent": state.parent,
        "workflow": None if state.workflow is None else {"run": state.workflow.run, "step": state.workflow.step},
        "waiting": waiting_view(state),
        "input": task_input,
        "output": output,
        "error": None if state.error is None else state.error.to_json(),
        "usage": {name: state.usage.get(name, nothing) for name, nothing in _NO_USAGE.items()},
        "labels": state.labels,
        "links": {"self": path, "events": f"{path}/events"},
    }


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)
