"""What agents do to the world: under stable keys, and steps once they are recorded never again."""

from __future__ import annotations

from collections.abc import Iterator

from flotilla.events import Kind
from tests.simulation.rules.case import EPSILON_SECONDS, Case, Violation


def stable_keys(case: Case) -> Iterator[Violation]:
    """Every effect of a task has one key in all attempts, and no other effect has it."""
    keys: dict[tuple[str, str], str] = {}
    owners: dict[str, tuple[str, str]] = {}
    for effect in case.history.effects:
        which = (effect.task_id, effect.step)
        if keys.setdefault(which, effect.key) != effect.key:
            yield Violation("effects", f"{effect.task_id} {effect.step}: another key in attempt {effect.attempt}")
        if owners.setdefault(effect.key, which) != which:
            yield Violation("effects", f"{effect.task_id} {effect.step}: a key that {owners[effect.key]} has")


def made(case: Case) -> Iterator[Violation]:
    """A task that succeeded by running had its effects."""
    done = {(effect.task_id, effect.step) for effect in case.history.effects}
    for task in case:
        for life in task.lives:
            end = life.end
            if end is None or end.event.kind is not Kind.SUCCEEDED or end.event.body["usage"].get("cached"):
                continue
            steps = 0 if task.submit.agent == "sim.plain" else task.submit.steps
            wanted = [f"step {number}" for number in range(steps)] or [""]
            missing = [step for step in wanted if (task.task_id, step) not in done]
            if missing:
                yield Violation("effects", f"{task.name} succeeded without {missing}")


def recorded_once(case: Case) -> Iterator[Violation]:
    """A step that is recorded is not run again, and is recorded once, unless a redrive changed the input."""
    for task in case:
        recorded: dict[str, float] = {}
        for written in task.written:
            event = written.event
            if event.kind is Kind.REDRIVEN and "input" in event.body:
                recorded.clear()
            elif event.kind is Kind.STEP_RECORDED:
                step = event.body["step"]
                if step in recorded:
                    yield Violation("steps", f"{task.name}: {step} was recorded twice")
                recorded[step] = written.at
        for run in case.history.step_runs:
            if run.task_id == task.task_id and run.at > recorded.get(run.step, run.at) + EPSILON_SECONDS:
                yield Violation("steps", f"{task.name}: {run.step} ran at {run.at:.3f} though it was recorded")


def replayed(case: Case) -> Iterator[Violation]:
    """An agent's result is made of what its log recorded."""
    for task in case:
        state = task.state
        if state is None or state.status != "succeeded" or state.output is None or task.submit.agent == "sim.plain":
            continue
        if task.events[-1].body["usage"].get("cached"):
            continue
        found = case.world.payload_of(state.output.to_json())["steps"]
        names = [f"step {number}" for number in range(task.submit.steps)]
        logged = [case.world.payload_of(state.steps[name].to_json()) for name in names if name in state.steps]
        if found != logged:
            yield Violation("steps", f"{task.name} answered {found}, recorded was {logged}")


RULES = (stable_keys, made, recorded_once, replayed)
