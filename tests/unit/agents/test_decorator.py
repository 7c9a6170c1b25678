"""The decorator: which functions are agents, and the schemas they get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, computed_field

from flotilla.agents import Context, SyncContext, agent
from flotilla.agents.decorator import AgentDefinition, definition_of
from tests.unit.agents import plain_annotations


class Question(BaseModel):
    text: str
    limit: int = 3


class Answer(BaseModel):
    text: str
    confidence: float = 0.5

    @computed_field
    def length(self) -> int:
        return len(self.text)


@agent("test.asked")
async def asked(task: Question, ctx: Context) -> Answer:
    return Answer(text=task.text)


def defined(function: Callable[..., Any]) -> AgentDefinition:
    found = definition_of(agent("test.sample")(function))
    assert found is not None
    return found


def test_an_agent_is_still_the_function_it_was() -> None:
    def function(task: Question, ctx: Context) -> Answer:
        return Answer(text=task.text)

    assert agent("test.sample")(function) is function


def test_what_the_decorator_says_is_in_the_specification() -> None:
    @agent(
        "test.full",
        version="3",
        timeout_seconds=90,
        max_attempts=7,
        lane="batch",
        integrations=["bedrock", "crm"],
        cache_ttl_seconds=60,
        backoff_base_seconds=2,
        backoff_cap_seconds=20,
        on_open="reject",
        errors=["document_unreadable", "too.many-pages"],
    )
    def full(task: Question, ctx: SyncContext) -> Answer:
        return Answer(text=task.text)

    spec = definition_of(full).spec()
    assert (spec.name, spec.version, spec.module, spec.function) == ("test.full", "3", __name__, "full")
    assert (spec.timeout_seconds, spec.max_attempts, spec.lane) == (90, 7, "batch")
    assert (spec.integrations, spec.cache_ttl_seconds, spec.on_open) == (("bedrock", "crm"), 60, "reject")
    assert (spec.backoff_base_seconds, spec.backoff_cap_seconds) == (2, 20)
    assert spec.errors == ("document_unreadable", "too.many-pages")
    assert not spec.is_async


def test_what_it_does_not_say_has_a_default() -> None:
    spec = definition_of(asked).spec()
    assert (spec.version, spec.lane, spec.integrations, spec.cache_ttl_seconds) == ("1", None, (), None)
    assert spec.on_open == "park"
    assert spec.timeout_seconds > 0
    assert spec.max_attempts > 1
    assert spec.is_async


def test_the_input_schema_is_what_a_client_must_send() -> None:
    schema = definition_of(asked).spec().input_schema
    assert schema["required"] == ["text"]
    assert schema["properties"]["limit"]["default"] == 3


def test_the_output_schema_is_what_a_client_gets() -> None:
    schema = definition_of(asked).spec().output_schema
    assert set(schema["properties"]) == {"text", "confidence", "length"}, "computed members too"


async def annotated(task: Annotated[Question, Field(description="what is asked")], ctx: Context) -> Answer: ...
async def unions(task: Question | str, ctx: Context) -> Answer | None: ...
async def bare(task: dict[str, Any], ctx: Context) -> Any: ...
async def free(task: Any, whatever: Context) -> list[Answer]: ...
async def unannotated_context(task: Question, ctx) -> Answer: ...  # type: ignore[no-untyped-def]
def plain(task: Question, ctx: SyncContext) -> Answer: ...
def without_output(task: Question, ctx: SyncContext) -> None: ...


@pytest.mark.parametrize(
    "function",
    [annotated, unions, bare, free, unannotated_context, plain, without_output, plain_annotations.quoted],
    ids=lambda function: function.__name__,
)
def test_a_function_of_input_and_context_is_an_agent(function: Callable[..., Any]) -> None:
    spec = defined(function).spec()
    assert isinstance(spec.input_schema, dict)
    assert isinstance(spec.output_schema, dict)


async def no_input_type(task, ctx: Context) -> Answer: ...  # type: ignore[no-untyped-def]
async def no_output_type(task: Question, ctx: Context): ...  # type: ignore[no-untyped-def]
async def no_context(task: Question) -> Answer: ...
async def nothing() -> Answer: ...
async def too_many(task: Question, ctx: Context, more: int) -> Answer: ...
async def by_name_only(task: Question, *, ctx: Context) -> Answer: ...
async def gathered(*task: Question, **ctx: Any) -> Answer: ...


@pytest.mark.parametrize(
    "function",
    [no_input_type, no_output_type, no_context, nothing, too_many, by_name_only, gathered],
    ids=lambda function: function.__name__,
)
def test_any_other_function_is_refused_with_the_way_to_write_it(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=f"test.sample.*def {function.__name__}"):
        defined(function).spec()


@pytest.mark.parametrize(
    "bounds",
    [
        {"timeout_seconds": 0},
        {"timeout_seconds": -1},
        {"max_attempts": 0},
        {"backoff_base_seconds": -0.1},
        {"backoff_cap_seconds": -1},
        {"cache_ttl_seconds": 0},
        {"on_open": "wait"},
        {"errors": "document_unreadable"},
        {"errors": ["States.Timeout"]},
        {"errors": [""]},
        {"errors": ["two words"]},
        {"errors": ["e" * 65]},
    ],
    ids=str,
)
def test_a_bound_that_cannot_be_is_refused_where_it_is_written(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"test\.sample"):
        agent("test.sample", **bounds)


@pytest.mark.parametrize("candidate", [None, 3, "asked", print, Question, Question(text="x"), object()])
def test_nothing_else_has_a_definition(candidate: object) -> None:
    assert definition_of(candidate) is None


def test_what_an_author_imports_is_there_and_nothing_else() -> None:
    import flotilla.agents

    assert {flotilla.agents.Context, flotilla.agents.SyncContext, flotilla.agents.agent} == {
        Context,
        SyncContext,
        agent,
    }
    with pytest.raises(AttributeError):
        flotilla.agents.Contxt  # noqa: B018 - reading it is the test
