"""Many who would end one wait at the same moment: one does, and each of the others is told the truth."""

from __future__ import annotations

import pytest

from flotilla.events import Event, Kind, fold, verify_chain
from flotilla.models import Delivery, Status, TaskMessage
from flotilla.services.dispatch import message_for
from flotilla.services.submit import Accepted
from tests.concurrency.racers import Racers

SECONDS = 100


def waiting(racers: Racers) -> Accepted:
    """A task whose first attempt has come to wait."""
    accepted = racers.submit("waiting.patient", None, seconds=SECONDS)
    racers.work("w/0", racers.delivery(accepted))
    assert [event.kind for event in racers.events(accepted)][-1] is Kind.WAITING
    return accepted


def whole(racers: Racers, accepted: Accepted) -> list[Event]:
    events = racers.events(accepted)
    verify_chain(events)
    fold(events)
    return events


def delivery_of(message: TaskMessage) -> Delivery:
    return Delivery("m", "r", message.group, 1, message.to_body())


def test_of_sixteen_who_say_the_same_one_signals_and_all_are_told_that_it_is_so(racers: Racers) -> None:
    accepted = waiting(racers)
    task_id = accepted.state.task_id
    answers = racers.at_once(16, lambda number: racers.signal(task_id, "yes", number))
    assert sorted(map(str, answers)) == ["False"] * 15 + ["True"]
    assert [event.kind for event in whole(racers, accepted)].count(Kind.SIGNALLED) == 1


def test_of_sixteen_who_disagree_one_side_has_signalled_and_the_other_is_refused(racers: Racers) -> None:
    accepted = waiting(racers)
    task_id = accepted.state.task_id
    answers = racers.at_once(16, lambda number: racers.signal(task_id, ("yes", "no")[number % 2], number))
    payload = whole(racers, accepted)[3].body["payload"]
    for number, answer in enumerate(answers):
        assert (answer is None) == (("yes", "no")[number % 2] != payload)
    assert answers.count(True) == 1


@pytest.mark.parametrize("round_", range(4))
def test_a_signal_the_end_of_the_time_and_a_cancel_end_it_once(racers: Racers, round_: int) -> None:
    accepted = waiting(racers)
    task_id = accepted.state.task_id
    timeout = delivery_of(message_for(fold(racers.events(accepted))))
    racers.clock.advance(SECONDS)

    def end(number: int) -> bool | None:
        match number % 3:
            case 0:
                return racers.signal(task_id, "yes", number)
            case 1:
                return racers.cancel(task_id, number)
            case _:
                racers.work(f"w/{number}", timeout)
                return None

    answers = racers.at_once(9, end)
    events = whole(racers, accepted)
    ending = events[3].kind
    assert ending in (Kind.SIGNALLED, Kind.RESUMED, Kind.CANCELLED)
    assert [event.kind for event in events].count(Kind.WAITING) == 1
    assert (ending is Kind.SIGNALLED) == (True in answers[0::3])
    if ending is Kind.SIGNALLED and events[-1].kind is Kind.SIGNALLED:
        racers.work("w/later", delivery_of(message_for(fold(events))))
    state = fold(racers.events(accepted))
    if state.status is Status.SUCCEEDED:
        assert state.output is not None
        said = state.output.inline
        assert said == "yes" if ending is Kind.SIGNALLED else said[0] == "timed out"
    else:
        assert state.status is Status.CANCELLED
