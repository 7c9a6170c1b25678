"""What states put on lanes is read as it was meant, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.errors import UnreadableMessageError
from flotilla.models import TaskMessage
from flotilla.workflows.order import RunHeader, StepOrder, read_wanted
from tests.contracts.lanes import MESSAGE
from tests.unit.services.ordering import HEADER, RUN, TOKEN, body_of

TEXTS = st.text(max_size=20)
HEADERS = st.builds(
    RunHeader,
    run=TEXTS,
    tenant=TEXTS,
    name=TEXTS,
    lane=st.none() | TEXTS,
    depth=st.integers(0, 16),
    root=st.none() | TEXTS,
    deadline_ms=st.none() | st.integers(0, 10**15),
    trace=st.none() | TEXTS,
    webhook=st.none() | TEXTS,
    labels=st.dictionaries(TEXTS, TEXTS, max_size=3),
    budgets=st.lists(st.tuples(TEXTS, st.integers(1, 10**9)), max_size=3).map(tuple),
)


@given(HEADERS)
def test_a_header_is_read_as_it_was_written(header: RunHeader) -> None:
    assert RunHeader.from_json(json.loads(json.dumps(header.to_json()))) == header


def test_members_of_another_version_are_passed_over_and_absent_ones_default() -> None:
    value = {"run": RUN, "tenant": "acme", "name": "document-analysis", "later": {"a": 1}}
    assert RunHeader.from_json(value) == HEADER


def test_an_order_is_read_as_the_state_wrote_it() -> None:
    body = body_of("document.extract", 7, retry=2, lane="batch", session="{run}", max_attempts=3, timeout_seconds=60)
    order = StepOrder.from_body(body)
    assert (order.header, order.step, order.retry, order.token) == (HEADER, "Extract", 2, TOKEN)
    assert (order.agent, order.input) == ("document.extract", {"value": 7, "times": 0})
    assert (order.lane, order.session, order.max_attempts, order.timeout_seconds) == ("batch", "{run}", 3, 60)


def test_a_state_that_was_never_retried_need_not_say_so() -> None:
    value = json.loads(body_of())
    del value["state"]["RetryCount"]
    assert StepOrder.from_body(json.dumps(value)).retry == 0


def test_the_id_of_a_task_follows_from_run_token_and_retry() -> None:
    ids = {
        StepOrder.from_body(body).task_id
        for body in (body_of(), body_of("another"), body_of(step="Else"), body_of(value=2))
    }
    assert len(ids) == 1, "an order that comes again may have been written by another version"
    others = {
        StepOrder.from_body(body).task_id
        for body in (body_of(retry=1), body_of(token="other"), body_of(header=RunHeader("wfl_2", "acme", "w")))
    }
    assert len(others | ids) == 4
    assert all(len(task_id) == 36 and task_id.startswith("tsk_") for task_id in others | ids)


def test_messages_and_orders_are_told_apart() -> None:
    assert isinstance(read_wanted(MESSAGE.to_body()), TaskMessage)
    assert isinstance(read_wanted(body_of()), StepOrder)


@pytest.mark.parametrize(
    "body",
    ["", "no json", "null", "[]", "7", "{}", "[" * 5000, '{"workflow":[],"state":{},"token":"t"}'],
    ids=lambda body: body[:20],
)
def test_what_is_neither_is_unreadable(body: str) -> None:
    with pytest.raises(UnreadableMessageError, match=r"not a task message.*; not an order"):
        read_wanted(body)


@pytest.mark.parametrize(
    "change",
    [
        {"workflow": HEADER.to_json() | {"run": 7}},
        {"workflow": HEADER.to_json() | {"labels": []}},
        {"workflow": HEADER.to_json() | {"budgets": [["tsk_1", 0]]}},
        {"workflow": HEADER.to_json() | {"lane": 1}},
        {"state": {}},
        {"state": {"Name": 1}},
        {"state": {"Name": "Extract", "RetryCount": "one"}},
        {"token": None},
        {"max_attempts": "3"},
        {"timeout_seconds": 1.5},
    ],
    ids=str,
)
def test_an_order_of_other_types_is_unreadable(change: dict[str, Any]) -> None:
    with pytest.raises(UnreadableMessageError):
        StepOrder.from_body(json.dumps(json.loads(body_of()) | change))


def test_an_order_without_an_input_is_unreadable() -> None:
    value = json.loads(body_of())
    del value["input"]
    with pytest.raises(UnreadableMessageError):
        StepOrder.from_body(json.dumps(value))
