"""Random logs for the tests that hold for any log: every walk that the rules of a task's life allow."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from flotilla.events import Event, Kind
from flotilla.events.kinds import STATUS_AFTER
from tests.logs import ERROR, START_MS, LogBuilder

_LIVING = [kind for kind in Kind if kind not in (Kind.ACCEPTED, Kind.REDRIVEN)]

_BODIES: dict[Kind, st.SearchStrategy[dict[str, Any]]] = {
    Kind.ACCEPTED: st.fixed_dictionaries(
        {
            "tenant": st.sampled_from(["acme", "other", "a#b"]),
            "agent": st.sampled_from(["sample.echo", "sample.flaky"]),
            "lane": st.sampled_from(["standard", "batch"]),
        },
        optional={
            "session": st.sampled_from(["s1", "größe"]),
            "due_at_ms": st.integers(START_MS, START_MS + 10**9),
            "labels": st.dictionaries(st.sampled_from(["ref", "bytes", "sha256"]), st.text(max_size=3)),
            "input": st.just({"ref": "tenants/x/1.json", "bytes": 5, "sha256": "ab" * 32}),
        },
    ),
    Kind.STARTED: st.fixed_dictionaries({}, optional={"solo": st.just(value=True)}),
    Kind.STEP_RECORDED: st.fixed_dictionaries({"step": st.sampled_from(["one", "two"])}),
    Kind.ATTEMPT_FAILED: st.fixed_dictionaries({"next_attempt_ms": st.integers(START_MS, START_MS + 10**8)}),
    Kind.PARKED: st.fixed_dictionaries({"next_attempt_ms": st.integers(START_MS, START_MS + 10**8)}),
    Kind.DEAD_LETTERED: st.fixed_dictionaries(
        {"error": st.builds(lambda text: ERROR | {"message": text}, st.text(max_size=600))}
    ),
}


@st.composite
def logs(draw: st.DrawFn, task_id: str = "tsk_sample", max_events: int = 12) -> list[Event]:
    """A legal log of at least one event."""
    builder = LogBuilder(task_id)
    builder.add(Kind.ACCEPTED, actor="key:k1", **draw(_BODIES[Kind.ACCEPTED]))
    attempt = 0
    for _ in range(draw(st.integers(0, max_events - 1))):
        ended = STATUS_AFTER[builder.events[-1].kind].terminal
        kind = Kind.REDRIVEN if ended else draw(st.sampled_from(_LIVING))
        attempt += kind is Kind.STARTED
        builder.add(kind, attempt=attempt, **draw(_BODIES.get(kind, st.just({}))))
    return builder.events
