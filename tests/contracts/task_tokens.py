"""The contract of `TaskTokens`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from flotilla.workflow_ports import TaskTokens
from tests.fakes.workflows import Answer

OUTPUT = json.dumps({"task_id": "tsk_1", "output": {"größe": ["\U0001f680", None, 1.5]}})
CAUSE = json.dumps({"task_id": "tsk_1", "message": "größe \U0001f680"})

AskedToken = Callable[[], str]
ToldTo = Callable[[str], Answer]


def succeed(tokens: TaskTokens, token: str, output: str = OUTPUT) -> bool:
    return asyncio.run(tokens.succeed(token, output))


def fail(tokens: TaskTokens, token: str, error: str = "document_unreadable", cause: str = CAUSE) -> bool:
    return asyncio.run(tokens.fail(token, error, cause))


class TaskTokensContract:
    """Provide fixtures `tokens`, `asked` (the token of another state that waits) and `told_to` (what it was told)."""

    def test_a_state_goes_on_with_what_it_is_told(self, tokens: TaskTokens, asked: AskedToken, told_to: ToldTo) -> None:
        token = asked()
        assert succeed(tokens, token)
        assert json.loads(told_to(token).output or "") == json.loads(OUTPUT)

    def test_a_state_fails_by_the_name_it_is_told(self, tokens: TaskTokens, asked: AskedToken, told_to: ToldTo) -> None:
        token = asked()
        assert fail(tokens, token)
        assert told_to(token) == Answer(token, error="document_unreadable", cause=CAUSE)

    def test_an_answered_state_waits_no_longer_and_keeps_its_first_answer(
        self, tokens: TaskTokens, asked: AskedToken, told_to: ToldTo
    ) -> None:
        token = asked()
        assert succeed(tokens, token)
        told_to(token)
        assert not succeed(tokens, token)
        assert not fail(tokens, token)
        assert told_to(token).error is None

    def test_states_are_told_apart(self, tokens: TaskTokens, asked: AskedToken, told_to: ToldTo) -> None:
        first, second = asked(), asked()
        assert succeed(tokens, second, '{"of":2}')
        assert succeed(tokens, first, '{"of":1}')
        assert [json.loads(told_to(token).output or "") for token in (first, second)] == [{"of": 1}, {"of": 2}]

    def test_nobody_waits_for_a_token_that_is_none(self, tokens: TaskTokens) -> None:
        assert not succeed(tokens, "A" * 512)
        assert not fail(tokens, "A" * 512)

    def test_the_longest_answers_arrive(self, tokens: TaskTokens, asked: AskedToken, told_to: ToldTo) -> None:
        long_output, long_cause = json.dumps("x" * 262_000), "x" * 32_768
        token, failing = asked(), asked()
        assert succeed(tokens, token, long_output)
        assert fail(tokens, failing, "e" * 256, long_cause)
        assert json.loads(told_to(token).output or "") == json.loads(long_output)
        assert told_to(failing) == Answer(failing, error="e" * 256, cause=long_cause)
