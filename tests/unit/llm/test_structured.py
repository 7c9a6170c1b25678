"""Answers of a type: asked for by schema, validated, and with what is wrong asked for again, so many times at most."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from benchmarks.fault_lab.script import Reply, Script
from benchmarks.fault_lab.scripted_model import Answer
from flotilla.errors import PermanentError
from flotilla.llm.structured import ModelOutputInvalidError, OutputForm, generate_structured
from flotilla.llm.tool_use import ToolSpec
from flotilla.llm_ports import Message, ModelReply, ModelRequest, Role, StopReason, ToolCall
from tests.fakes.models import MemoryModels, OneModel, Replies, said
from tests.fakes.virtual_time import run_virtually


class Page(BaseModel):
    number: int = Field(ge=1)
    title: str = ""


class Summary(BaseModel):
    """What a document says."""

    kind: Literal["letter", "bill"]
    pages: list[Page]


class Node(BaseModel):
    children: list[Node] = []


@dataclass
class Point:
    x: float
    y: float


GOOD = '{"kind": "bill", "pages": [{"number": 1}]}'
REQUEST = ModelRequest(messages=[Message(Role.USER, "what is this?")])


def generate(converse: Any, output: Any, **options: Any) -> Any:
    return asyncio.run(generate_structured(converse, REQUEST, output, **options))


def test_an_answer_is_asked_for_by_schema_and_comes_back_as_the_type() -> None:
    converse = Replies(ModelReply(text=GOOD))
    value, served = generate(converse, Summary)
    assert value == Summary(kind="bill", pages=[Page(number=1)])
    assert served.reply.text == GOOD
    (asked,) = converse.asked
    assert asked.output.name == "Summary"
    assert asked.output.schema["required"] == ["kind", "pages"]
    assert '"title":' not in json.dumps(asked.output.schema).replace('"title": {"default"', "")


@pytest.mark.parametrize(
    ("output", "text", "value"),
    [
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (Literal["a", "b"], '{"value": "b"}', "b"),
        (int | None, '{"value": null}', None),
        (Annotated[int, Field(gt=3)], '{"value": 4}', 4),
        (Point, '{"x": 1, "y": 2.5}', Point(1, 2.5)),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Node, '{"children": [{"children": []}]}', Node(children=[Node()])),
        (Page | Point, '{"value": {"number": 3}}', Page(number=3)),
    ],
)
def test_whatever_pydantic_validates_can_be_asked_for(output: Any, text: str, value: Any) -> None:
    form: OutputForm[Any] = OutputForm(output)
    assert form.schema.schema["type"] == "object"
    assert form.parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"\n {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```\n",
        f"Here it is:\n\n```json\n{GOOD}\n```\nBye.",
    ],
)
def test_a_code_fence_is_taken_off(text: str) -> None:
    assert OutputForm(Summary).parse(text).kind == "bill"


@pytest.mark.parametrize(
    "text",
    ["", "bill", f"{GOOD} {GOOD}", f"so: {GOOD}", f"```\n{GOOD}\n```\nor\n```\n{GOOD}\n```", GOOD[:-1], f"[{GOOD}]"],
)
def test_nothing_is_guessed(text: str) -> None:
    with pytest.raises(ValidationError):
        OutputForm(Summary).parse(text)


def test_a_fence_within_a_value_is_part_of_it() -> None:
    text = json.dumps({"number": 1, "title": "```\nx\n```"})
    assert OutputForm(Page).parse(text).title == "```\nx\n```"


def test_the_model_is_told_what_is_wrong_and_asked_again() -> None:
    bad = '{"kind": "poem", "pages": [{"number": 0}]}'
    converse = Replies(ModelReply(text=bad), ModelReply(text=GOOD))
    value, _ = generate(converse, Summary)
    assert value.kind == "bill"
    first, second = converse.asked
    assert second.messages[:2] == (*first.messages, Message(Role.ASSISTANT, bad))
    told = second.messages[2].text
    assert "/kind: Input should be 'letter' or 'bill'" in told
    assert "/pages/0/number" in told
    assert second.output == first.output


def test_an_answer_that_is_empty_is_not_repeated_to_the_model() -> None:
    converse = Replies(ModelReply(text=" "), ModelReply(text=GOOD))
    generate(converse, Summary)
    assert [message.role for message in converse.asked[1].messages] == [Role.USER, Role.USER]


@pytest.mark.parametrize("repairs", [0, 1, 3])
def test_repairs_are_bounded(repairs: int) -> None:
    converse = OneModel(MemoryModels(Script.steady(Reply(body=said(Answer("no"))))))
    with pytest.raises(ModelOutputInvalidError) as invalid:
        run_virtually(generate_structured(converse, REQUEST, Summary, repairs=repairs))
    assert (converse.calls, invalid.value.code, invalid.value.cut) == (repairs + 1, "model_output_invalid", False)
    assert invalid.value.served.reply.text == "no"


def test_what_was_cut_off_is_not_asked_for_again() -> None:
    converse = Replies(ModelReply(text=GOOD[:9], stop_reason=StopReason.MAX_TOKENS))
    with pytest.raises(ModelOutputInvalidError) as invalid:
        generate(converse, Summary)
    assert invalid.value.cut
    assert "1024 tokens" in invalid.value.message


def test_what_was_withheld_is_not_asked_for_again() -> None:
    converse = Replies(ModelReply(text="", stop_reason=StopReason.FILTERED))
    with pytest.raises(PermanentError) as withheld:
        generate(converse, Summary)
    assert withheld.value.code == "model_filtered"


def test_tools_may_be_called_on_the_way_and_are_not_called_again_for_a_repair() -> None:
    looks = []

    def look(page: int) -> str:
        looks.append(page)
        return "a bill"

    call = ModelReply(text="", tool_calls=[ToolCall("1", "look", {"page": 1})], stop_reason=StopReason.TOOL_USE)
    converse = Replies(call, ModelReply(text="it is a bill"), ModelReply(text=GOOD))
    value, _ = generate(converse, Summary, tools=[ToolSpec.of(look)])
    assert (value.kind, looks) == ("bill", [1])
    roles = [message.role.value for message in converse.asked[-1].messages]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    assert converse.asked[-1].messages[2].tool_results[0].content == "a bill"


def test_what_is_no_type_is_said_to_be_none() -> None:
    with pytest.raises(PermanentError) as invalid:
        OutputForm(object())
    assert invalid.value.code == "invalid_output_type"
    with pytest.raises(PermanentError):
        OutputForm(asyncio.Lock)


def test_any_name_becomes_one_that_providers_take() -> None:
    class Größe(BaseModel):  # noqa: PLC2401 - a name that no provider takes
        x: int

    assert OutputForm(Größe).schema.name == "Gr_e"
    assert OutputForm(list[Größe]).schema.name
