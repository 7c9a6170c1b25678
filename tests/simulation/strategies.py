"""Workloads and fault plans that Hypothesis composes, and makes smaller until what is left of a failure is plain."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.simulation.faults import KINDS, MAX_SKEW_SECONDS, PORTS, FaultPlan
from tests.simulation.workload import (
    AGENTS,
    DELAYS,
    LANES,
    MOVES,
    SESSIONS,
    TIMEOUTS,
    WAITING_AGENTS,
    WAITS,
    Cancel,
    Hold,
    Operation,
    Redrive,
    Signal,
    Submit,
    SubmitMany,
    Wait,
    Workload,
)

_MOST_TASKS = 6
_PROBABILITIES = (0.0, 0.1, 0.5, 1.0)
_ENDLESS = frozenset({"park", "park_long"})


@st.composite
def _submits(draw: DrawFn) -> Submit:
    agent = draw(st.sampled_from(sorted(set(AGENTS), reverse=True)))
    moves = draw(st.lists(st.sampled_from(("ok", *MOVES)), max_size=4))
    if not moves or moves[-1] in _ENDLESS:
        moves.append("ok")  # what parks for ever never ends
    cached = agent == "sim.cached"
    ordered = draw(st.booleans())
    return Submit(
        number=0,
        agent=agent,
        moves=("ok",) if cached else tuple(moves),
        steps=draw(st.sampled_from((0, 1, 3))),
        seconds=1.0 if cached else draw(st.sampled_from((0.0, 0.05, 1.0, 6.0))),
        shared="A" if cached else None,
        tenant=draw(st.sampled_from(("acme", "umbrella"))),
        lane=draw(st.sampled_from(LANES)),
        session=draw(st.sampled_from((None, *SESSIONS))),
        delay_seconds=None if ordered else draw(st.sampled_from((None, *DELAYS))),
        deadline_seconds=draw(st.sampled_from((None, 0.5, 5.0, 200.0))),
        max_attempts=draw(st.sampled_from((None, 1, 2))),
        wait=draw(st.sampled_from((None, *TIMEOUTS))) if agent in WAITING_AGENTS else None,
        tries=draw(st.sampled_from((4, 1, 8))),
        ordered=ordered,
    )


def _by_clients(task: Submit) -> Submit:
    return replace(task, ordered=False)


_NUMBERS = st.integers(0, _MOST_TASKS)
_SCOPES = st.sampled_from((("fleet", ""), ("lane", LANES[0]), ("agent", "sim.work"), ("agent", "sim.cached")))
_OPERATIONS: SearchStrategy[Operation] = st.one_of(
    _submits(),
    st.builds(SubmitMany, st.lists(_submits().map(_by_clients), min_size=2, max_size=3).map(tuple)),
    st.builds(Wait, st.sampled_from(WAITS)),
    st.builds(Cancel, _NUMBERS),
    st.builds(Signal, _NUMBERS, st.sampled_from(("yes", "no"))),
    st.builds(Redrive, _NUMBERS, st.sampled_from((None, ("ok",)))),
    st.builds(lambda what, seconds: Hold(what[0], what[1], seconds), _SCOPES, st.sampled_from((1.5, 5.0, 60.0, 300.0))),
)


@st.composite
def workloads(draw: DrawFn) -> Workload:
    """Up to three clients, each of whom asks for a few things."""
    clients = draw(st.lists(st.lists(_OPERATIONS, min_size=1, max_size=5), min_size=1, max_size=3))
    return Workload(
        clients=_numbered(clients),
        concurrency=draw(st.integers(1, 4)),
        worker_timeout_seconds=draw(st.sampled_from((60.0, 30.0, 180.0))),
        max_receive_count=draw(st.sampled_from((500, 8))),
        inline_bytes=draw(st.sampled_from((1000, 60))),
    )


def _numbered(clients: list[list[Operation]]) -> tuple[tuple[Operation, ...], ...]:
    """The same, with tasks that have numbers, and nothing that speaks of a task there is not."""
    numbers = itertools.count()

    def submitted(operation: Operation) -> Operation:
        if isinstance(operation, Submit):
            return replace(operation, number=next(numbers))
        if isinstance(operation, SubmitMany):
            return replace(operation, tasks=tuple(replace(task, number=next(numbers)) for task in operation.tasks))
        return operation

    found = [[submitted(operation) for operation in operations] for operations in clients]
    count = next(numbers)

    def spoken_of(operation: Operation) -> Iterator[Operation]:
        if not isinstance(operation, Cancel | Signal | Redrive):
            yield operation
        elif count:
            yield replace(operation, number=operation.number % count)

    return tuple(tuple(itertools.chain.from_iterable(map(spoken_of, operations))) for operations in found)


@st.composite
def plans(draw: DrawFn) -> FaultPlan:
    """What goes wrong."""
    probability = st.sampled_from(_PROBABILITIES)
    until = draw(st.sampled_from((0.0, 20.0, 200.0)))
    outages = st.tuples(st.sampled_from(PORTS), st.floats(0.0, 60.0), st.sampled_from((1.0, 20.0, 60.0)))
    return FaultPlan(
        rates=draw(st.dictionaries(st.sampled_from(KINDS), st.sampled_from((0.01, 0.1, 0.3)))),
        budget=draw(st.integers(0, 20)),
        until=until,
        outages=tuple((port, begins, begins + lasts) for port, begins, lasts in draw(st.lists(outages, max_size=2))),
        skew_seconds=draw(st.sampled_from((0.0, MAX_SKEW_SECONDS))),
        expire=draw(probability),
        twice=draw(probability),
        shuffle=draw(probability),
        undeleted=draw(st.sampled_from(_PROBABILITIES[:-1])),
        recycle=draw(probability),
        slow_threads=draw(st.sampled_from(_PROBABILITIES[:-1])),
        stream_lag=draw(st.sampled_from((0.2, 20.0))),
    )
