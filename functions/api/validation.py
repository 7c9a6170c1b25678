"""Checks a task's input against its agent's own JSON Schema, without importing the agent.

Invariant: what is said of an input names places in it and rules of the schema, and repeats none
of its values; the number of errors and the length of each are bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from flotilla.agents.catalog import AgentSpec
from flotilla.errors import InvalidInputError
from flotilla.models import canonical_json
from flotilla.workflows.order import MAX_RUN_INPUT_BYTES, is_run
from functions.api.problems import refusal
from functions.api.requests import MAX_ERRORS, pointer, shortened

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

_MASK = "the value"
_DEEPEST_UNION = 8


class InputValidators:
    """One compiled validator for each agent, made when its first task comes."""

    def __init__(self) -> None:
        self._validators: dict[str, Validator] = {}

    def check(self, agent: AgentSpec, value: Any) -> None:
        """Check a task's input.

        Args:
            agent: Its agent, or a workflow as if it were one.
            value: The input.

        Raises:
            InvalidInputError: It breaks the agent's schema.
            RefusalError: It is larger than the input of a workflow's run may be.
        """
        kind = "workflow" if is_run(agent.name) else "agent"
        if kind == "workflow" and len(canonical_json(value).encode()) > MAX_RUN_INPUT_BYTES:
            raise refusal(
                "too-large",
                f"The input of a workflow may have {MAX_RUN_INPUT_BYTES} bytes as JSON. "
                "Put what it works on into an object, and hand over the object's name.",
            )
        validator = self._validators.get(agent.name)
        if validator is None:
            validator = self._validators[agent.name] = _compiled(agent.input_schema)
        if validator.is_valid(value):
            return
        errors = [
            (pointer(["input", *error.instance_path]), shortened(error.message))
            for error in islice(_plain(validator.iter_errors(value)), MAX_ERRORS)
        ]
        raise InvalidInputError(f"The input breaks the {kind}'s schema.", errors)


def _compiled(schema: dict[str, Any]) -> Validator:
    import jsonschema_rs

    # The schema's formats are part of what the agent publishes: a date that is none would only fail later.
    return jsonschema_rs.validator_for(schema, validate_formats=True, mask=_MASK)


def _plain(errors: Iterable[ValidationError], depth: int = 0) -> Iterator[ValidationError]:
    """Errors with each "none of these fits" replaced by what is wrong with the one that was meant.

    An optional member is a union with null: that it is not null helps nobody. Of other unions the
    branch meant is the only one that takes values of this type.
    """
    for error in errors:
        branches: list[list[ValidationError]] = getattr(error.kind, "context", None) or []
        meant = [branch for branch in branches if not _is_null(branch)]
        if len(meant) > 1:
            meant = [branch for branch in meant if not _wrong_type(branch, error.instance_path)]
        if len(meant) == 1 and depth < _DEEPEST_UNION:
            yield from _plain(meant[0], depth + 1)
        else:
            yield error


def _types(branch: list[ValidationError]) -> list[str]:
    return list(getattr(branch[0].kind, "types", ())) if branch else []


def _is_null(branch: list[ValidationError]) -> bool:
    return _types(branch) == ["null"]


def _wrong_type(branch: list[ValidationError], path: list[str | int]) -> bool:
    return bool(_types(branch)) and branch[0].instance_path == path
