"""States of workflows: each is told how its task ended, as soon as a worker has ended it, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator

from flotilla.events import Kind
from flotilla.services.callbacks import is_workers
from tests.fakes.workflows import Answer
from tests.simulation.history import Written
from tests.simulation.rules.case import ENDS, Case, Violation
from tests.simulation.states import token_of


def told_as_it_ended(case: Case) -> Iterator[Violation]:
    """What a worker ended is told; what is told, a worker ended so before.

    What the API or the triage end, the broadcaster tells, which is not simulated.
    """
    states = case.world.states
    for submit in case.world.workload.tasks.values():
        token = token_of(submit.number)
        if not submit.ordered or token not in states.asked:
            continue
        task = case.tasks.get(submit.task_id)
        if task is None:
            yield Violation("states", f"task {submit.number} was asked for and is in no log")
            continue
        ends = [written for written in task.written if written.event.kind in ENDS]
        by_workers = [written for written in ends if is_workers(written.event.actor)]
        if token not in states.told:
            if by_workers:
                yield Violation("states", f"{task.name}: its state was never told that it {by_workers[0].event.kind}")
            continue
        at, answer = states.told[token]
        if not any(written.at <= at and _tells(case, answer, written) for written in by_workers):
            kinds = [written.event.kind.value for written in ends]
            yield Violation("states", f"{task.name}: its state was told {answer.error or 'success'}; it ended {kinds}")


def _tells(case: Case, answer: Answer, end: Written) -> bool:
    body = end.event.body
    if end.event.kind is Kind.SUCCEEDED:
        told = None if answer.output is None else json.loads(answer.output)
        return told is not None and told["output"] == case.world.payload_of(body["output"])
    return answer.error is not None and answer.error == body["error"]["code"]


RULES = (told_as_it_ended,)
