"""The steps of an attempt: which one is asked for, what is recorded of it, and what a replay of it gives.

Invariant: what an agent gets of a step is the same whether the step was run or replayed.
"""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from flotilla.clock import Clock
from flotilla.errors import PermanentError
from flotilla.models import Payload, canonical_json

_NAME_CHARACTERS = 256


class StepJournal(Protocol):
    """Where an attempt's steps are recorded and found again."""

    async def recorded(self, step: str) -> Payload | None:
        """What an earlier attempt, or this one, recorded for `step`."""
        ...

    async def may_run(self) -> None:
        """Let a step begin that nobody recorded.

        Raises:
            AttemptRevokedError: The task was cancelled, or another worker owns it now.
            ParkedError: The task was paused.
        """
        ...

    async def record(self, step: str, value: Any, duration_ms: int) -> None:
        """Record a step's result.

        Raises:
            AttemptRevokedError: Another worker owns the task now.
        """
        ...

    async def value_of(self, payload: Payload) -> Any:
        """The recorded value itself."""
        ...


class StepTaker:
    """Names an attempt's steps, finds what is recorded of them, and records what is not."""

    def __init__(self, journal: StepJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._taken: dict[str, set[int]] = {}

    async def find(self, name: str, function: Callable[..., Any]) -> tuple[Step, Any]:
        """The next step of that name, and its recorded result where `step.found`.

        Raises:
            PermanentError: The name is too long to be recorded.
            AttemptRevokedError: It is not recorded and may not run: the attempt has lost its task.
            ParkedError: It is not recorded and may not run: the task was paused.
        """
        if len(name) > _NAME_CHARACTERS:
            raise PermanentError(f"a step's name has at most {_NAME_CHARACTERS} characters", code="invalid_step_name")
        taken = self._taken.setdefault(name, set())
        occurrence = next(number for number in itertools.count(1) if number not in taken)
        taken.add(occurrence)
        # Doubled, so that no name can look like another's later occurrence.
        plain = name.replace("#", "##")
        key = plain if occurrence == 1 else f"{plain}#{occurrence}"
        recorded = await self._journal.recorded(key)
        step = Step(name, occurrence, key, recorded is not None, self._clock.now_ms(), _declared(function))
        if recorded is None:
            try:
                await self._journal.may_run()
            except BaseException:
                self.give_back(step)
                raise
            return step, None
        return step, step.revived(canonical_json(await self._journal.value_of(recorded)))

    def give_back(self, step: Step) -> None:
        """The step failed: if the agent tries it again, that is the same step."""
        self._taken[step.name].discard(step.occurrence)

    async def record(self, step: Step, result: Any) -> Any:
        """Record what the step's function returned; returns it as a replay would.

        Raises:
            PermanentError: It is not JSON, or not what the function declares. The step's effect has
                happened, and every further attempt would make it happen again.
        """
        try:
            text = step.as_json(result)
            answer = step.revived(text)
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
            why = f"the result of step {step.key!r} is not JSON, or not what its function declares"
            raise PermanentError(why, code="invalid_step_result") from error
        await self._journal.record(step.key, json.loads(text), self._clock.now_ms() - step.began_ms)
        return answer


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an attempt.

    Attributes:
        name: As the agent calls it.
        occurrence: How many steps of that name the attempt has taken, this one included.
        key: Its name in the log.
        found: An earlier attempt recorded it.
        began_ms: When it was asked for.
        declared: What its function says it returns; None where it says nothing that can be checked.
    """

    name: str
    occurrence: int
    key: str
    found: bool
    began_ms: int
    declared: TypeAdapter[Any] | None

    def as_json(self, result: Any) -> str:
        """The canonical JSON of what the function returned.

        Raises:
            PydanticSerializationError, ValueError, TypeError, RecursionError: It has none.
        """
        if self.declared is None:
            value = to_jsonable_python(result)
        else:
            value = self.declared.dump_python(result, mode="json", by_alias=False, round_trip=True, warnings=False)
        text = canonical_json(value)
        text.encode()  # half a surrogate pair is text to Python and nothing to the rest of the world
        return text

    def revived(self, text: str) -> Any:
        """What a recorded result is to the agent.

        Raises:
            ValueError: It is not what the function declares.
        """
        if self.declared is None:
            return json.loads(text)
        return self.declared.validate_json(text, by_alias=False, by_name=True)


def _declared(function: Callable[..., Any]) -> TypeAdapter[Any] | None:
    try:
        annotation = inspect.signature(function, eval_str=True).return_annotation
    except Exception:  # noqa: BLE001 - builtins have no signature, and an annotation may be any expression
        return None
    return None if annotation in (inspect.Signature.empty, None, Any) else TypeAdapter(annotation)
