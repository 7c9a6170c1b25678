"""Many clients at once with one idempotency key: one task, one message, one answer for all."""

from __future__ import annotations

from flotilla.errors import IdempotencyKeyReusedError
from tests.concurrency.racers import Racers


def test_fifty_clients_with_one_key_make_one_task_and_one_message(racers: Racers) -> None:
    answers = racers.at_once(50, lambda _: racers.submit("sample.echo", 1, idempotency_key="k"))
    assert len({answer.state.task_id for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(True) == 49
    assert len({answer.state.head_hash for answer in answers}) == 1
    assert racers.kinds(answers[0]) == ["accepted"]
    (message,) = racers.messages()
    assert message.task_id == answers[0].state.task_id


def test_of_two_requests_with_one_key_one_wins_and_the_other_is_told(racers: Racers) -> None:
    def submit(number: int) -> str:
        try:
            answer = racers.submit("sample.echo", number % 2, idempotency_key="k")
        except IdempotencyKeyReusedError:
            return "refused"
        return str(answer.state.input.inline["value"])

    answers = racers.at_once(20, submit)
    assert answers.count("refused") == 10
    assert len(set(answers)) == 2
    assert len(racers.messages()) == 1


def test_many_clients_without_a_key_make_as_many_tasks(racers: Racers) -> None:
    answers = racers.at_once(20, lambda number: racers.submit("sample.echo", number))
    tasks = {answer.state.task_id for answer in answers}
    assert len(tasks) == 20
    assert {message.task_id for message in racers.messages()} == tasks
