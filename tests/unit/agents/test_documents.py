"""The agent `document.analyze` over a real context."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from flotilla.agents.context import Context
from flotilla.agents.decorator import definition_of
from functions.worker.agents.documents import MAX_CHARACTERS, AnalyzeInput, AnalyzeOutput, analyze
from tests.unit.agents.contexts import StepsOfATask

LICENCE = """MIT License

Copyright (c) 2020 Jane Doe <jane@example.org>

Permission is hereby granted, free of charge, to any person obtaining a copy of this software (the "Software"), to deal
in the Software without restriction. This license was first published on 5 May 2020.
"""


def run(task: StepsOfATask, document: AnalyzeInput) -> AnalyzeOutput:
    async def attempt(ctx: Context) -> AnalyzeOutput:
        return await analyze(document, ctx)

    output = task.attempt(attempt)
    assert isinstance(output, AnalyzeOutput)
    return output


def test_a_document_is_read_classified_and_summed_up() -> None:
    output = run(StepsOfATask(), AnalyzeInput(text=LICENCE, summary_sentences=1))
    assert (output.title, output.document_class) == ("MIT License", "permissive")
    assert output.score == output.scores["permissive"]
    assert [date.iso for date in output.dates] == ["2020", "2020-05-05"]
    assert [link.target for link in output.links] == ["jane@example.org"]
    assert [term.term for term in output.terms] == ["Software"]
    assert [sentence.text.split(",")[0] for sentence in output.summary] == ["Permission is hereby granted"]
    assert output.counts.characters == len(LICENCE)


def test_its_stages_are_recorded_and_a_later_attempt_finds_the_same() -> None:
    task = StepsOfATask()
    outputs = [run(task, AnalyzeInput(text=LICENCE)) for _ in range(2)]
    assert outputs[0] == outputs[1]
    assert task.kinds().count("step_recorded") == 3


def test_a_document_without_a_title_is_called_by_its_name() -> None:
    assert run(StepsOfATask(), AnalyzeInput(text="", name="empty.txt")).title == "empty.txt"
    assert run(StepsOfATask(), AnalyzeInput(text="")).title is None


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"text": None},
        {"text": "x" * (MAX_CHARACTERS + 1)},
        {"text": "x", "name": "n" * 256},
        {"text": "x", "summary_sentences": 0},
        {"text": "x", "summary_sentences": 11},
        {"text": "x", "more": 1},
    ],
    ids=lambda value: str(value)[:40],
)
def test_input_out_of_bounds_is_refused_by_its_schema(value: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AnalyzeInput.model_validate(value)


def test_the_schema_says_the_bounds_so_that_the_api_can_check_them() -> None:
    definition = definition_of(analyze)
    assert definition is not None
    schema = definition.spec().input_schema
    assert schema["properties"]["text"]["maxLength"] == MAX_CHARACTERS
    assert (
        schema["properties"]["summary_sentences"] | {"minimum": 1, "maximum": 10}
        == schema["properties"]["summary_sentences"]
    )
    assert schema["required"] == ["text"]
