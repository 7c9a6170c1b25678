"""Judges a history by its invariants."""

from __future__ import annotations

from tests.simulation.rules import coordination, effects, lives, logs, projection, sessions, states, waits
from tests.simulation.rules.case import Case, Violation
from tests.simulation.world import World

RULES = (
    *logs.RULES,
    *lives.RULES,
    *sessions.RULES,
    *waits.RULES,
    *states.RULES,
    *coordination.RULES,
    *effects.RULES,
    *projection.RULES,
)


def check(world: World) -> list[Violation]:
    """Everything that breaks a rule."""
    case = Case(world)
    return [violation for rule in RULES for violation in rule(case)]


__all__ = ["RULES", "Violation", "check"]
