"""`approval.ask`: asks a person for a decision and waits for it, for weeks if need be. Nothing runs meanwhile.

Invariant: only a plain yes is one. Whatever else comes decides nothing, and fails the task. Who decided is in the
task's log, as the actor of the event `signalled`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flotilla.agents import Context, agent
from flotilla.errors import PermanentError, WaitTimeoutError
from flotilla.models import canonical_json

SIGNAL = "decision"
"""Name of the signal that is waited for."""

_UNCLEAR = "decision_unclear"
_DETAIL_BYTES = 8000
_EXCERPT_CHARACTERS = 1000
_NOTE_CHARACTERS = 2000


class Proposer(BaseModel):
    """Who proposed it, and in which task."""

    model_config = ConfigDict(extra="forbid")

    agent: str
    task_id: str


class AskInput(BaseModel):
    """What is to be decided.

    Attributes:
        timeout_seconds: How long there is to decide.
    """

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(min_length=1, max_length=2000)] = "May this be done?"
    proposal: Any = None
    proposed_by: Proposer | None = None
    timeout_seconds: Annotated[int, Field(ge=1, le=2_592_000)] = 86_400


class Decision(BaseModel):
    """What whoever decides signals; what else they say is passed over.

    Attributes:
        note: What they want to say besides.
        by: Who they say they are. Who they were to the fleet, the log knows.
        via: How the signal came, where it was not given at the API.
    """

    decision: Literal["approve", "deny"]
    note: Annotated[str | None, Field(max_length=_NOTE_CHARACTERS)] = None
    by: Annotated[str | None, Field(max_length=256)] = None
    via: Annotated[str | None, Field(max_length=64)] = None


class AskOutput(BaseModel):
    """What was decided; see `Decision`."""

    decision: Literal["approve", "deny", "timed_out"]
    note: str | None = None
    by: str | None = None
    via: str | None = None


@agent("approval.ask", version="1", timeout_seconds=20, max_attempts=4, errors=(_UNCLEAR,))
async def ask(task: AskInput, ctx: Context) -> AskOutput:
    """Ask for a decision and wait for it."""
    try:
        said = await ctx.wait_for(SIGNAL, timeout_seconds=task.timeout_seconds, detail=_detail(task))
    except WaitTimeoutError:
        return AskOutput(decision="timed_out")
    try:
        decided = Decision.model_validate({"decision": said} if isinstance(said, str) else said)
    except ValidationError as error:
        why = 'it is neither {"decision": "approve"} nor {"decision": "deny"}'
        raise PermanentError(f"the decision is not clear: {why}", code=_UNCLEAR) from error
    return AskOutput(**decided.model_dump())


def _detail(task: AskInput) -> dict[str, Any]:
    """What is shown to whoever decides: the proposal, or its beginning where it is too long to be shown."""
    detail = task.model_dump(mode="json", include={"question", "proposed_by"}, exclude_none=True)
    whole = detail | {"proposal": task.proposal}
    if len(canonical_json(whole).encode()) <= _DETAIL_BYTES:
        return whole
    return detail | {"proposal_begins": canonical_json(task.proposal)[:_EXCERPT_CHARACTERS]}
