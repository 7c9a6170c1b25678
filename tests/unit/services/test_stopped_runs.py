"""Of a run that was stopped nothing starts any more: its tasks are cancelled as they come, and their states told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flotilla.coordination import PauseScope, stop_mark, stopped_runs
from flotilla.errors import StoreUnavailableError
from flotilla.models import Status
from flotilla.services.pause_board import PauseBoard
from tests.fakes import ManualClock
from tests.fakes.pauses import MemoryPauses
from tests.unit.services import sample_agents
from tests.unit.services.crashes import Calls
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.ordering import HEADER, RUN, asked, delivery_of, order_of, told, worked

OTHER_RUN = "wfl_" + "1" * 32


def stop(fleet: Fleet, run_id: str = RUN) -> None:
    run(fleet.pauses.put(stop_mark(run_id, "key:k1", fleet.clock.now_ms())))


def test_an_order_of_a_stopped_run_is_accepted_and_cancelled(fleet: Fleet) -> None:
    stop(fleet)
    sample_agents.HISTORY.clear()
    body = asked(fleet)
    assert worked(fleet, body).done
    state = run(fleet.state(order_of(body).task_id))
    assert fleet.kinds(state.task_id) == ["accepted", "cancelled"]
    assert (state.status, state.attempt) == (Status.CANCELLED, 0)
    assert state.error is not None
    assert (state.error.code, state.error.message) == ("cancelled", "its workflow was cancelled")
    assert (told(fleet)["error"], told(fleet)["status"]) == ("cancelled", "cancelled")
    assert not sample_agents.HISTORY


def test_whether_a_run_was_stopped_costs_no_read_of_its_own(fleet: Fleet) -> None:
    calls = Calls()
    worked(fleet, asked(fleet), process=fleet.process(calls))
    assert calls.made.count("read") == 1
    assert fleet.pauses.reads == 1


def test_other_runs_and_tasks_of_none_go_on(fleet: Fleet) -> None:
    stop(fleet, OTHER_RUN)
    worked(fleet, asked(fleet, value=1))
    assert told(fleet)["output"] == {"value": 1}
    task = run(fleet.submit("sample.echo", {"value": 1})).state.task_id
    assert run(fleet.deliver(fleet.delivery(task))).done
    assert fleet.kinds(task) == ["accepted", "started", "succeeded"]


def test_a_task_that_waited_is_cancelled_when_its_time_comes(fleet: Fleet) -> None:
    body = asked(fleet, "sample.parking", 30, times=1)
    worked(fleet, body)
    stop(fleet)
    fleet.clock.advance(100)
    assert worked(fleet, body, 2).done
    assert fleet.kinds(order_of(body).task_id) == ["accepted", "started", "parked", "cancelled"]
    assert told(fleet)["error"] == "cancelled"


def test_a_stopped_run_is_cancelled_though_its_lane_is_paused(fleet: Fleet) -> None:
    run(fleet.pause(PauseScope.LANE, "standard"))
    stop(fleet)
    assert worked(fleet, asked(fleet)).done
    assert told(fleet)["error"] == "cancelled"


def test_a_crash_before_the_state_was_told_ends_in_it_told(fleet: Fleet) -> None:
    stop(fleet)
    body = asked(fleet)
    tools = replace(fleet.process(), callbacks=None)
    worked(fleet, body, process=tools)
    assert not fleet.tokens.answers
    assert worked(fleet, body, 2).done
    assert told(fleet)["error"] == "cancelled"


def test_stopped_tasks_do_not_hold_up_what_is_behind_them(fleet: Fleet) -> None:
    stop(fleet, OTHER_RUN)
    stopped = asked(fleet, header=replace(HEADER, run=OTHER_RUN), token="one")
    running = asked(fleet, token="two")
    deliveries = [replace(delivery_of(body, name=f"m-{n}"), group="g") for n, body in enumerate((stopped, running))]
    assert len(run(fleet.deliver(*deliveries)).done) == 2
    assert "output" in told(fleet, "two")


def test_a_mark_is_forgotten_after_a_day(fleet: Fleet) -> None:
    mark = stop_mark(RUN, "key:k1", 1_700_000_000_999)
    assert mark.expires_at == 1_700_000_000 + 86_400
    assert stopped_runs([mark]) == {RUN}


def test_a_mark_holds_up_nothing_else(fleet: Fleet) -> None:
    stop(fleet)
    board = PauseBoard(fleet.pauses, fleet.clock)
    assert run(board.hold(RUN, RUN)) is None
    assert run(board.stopped(RUN))
    assert not run(board.stopped(OTHER_RUN))


def test_while_the_store_is_down_what_was_stopped_stays_so() -> None:
    class Store(MemoryPauses):
        down = False

        async def read(self) -> list:  # type: ignore[type-arg]
            if self.down:
                raise StoreUnavailableError("down")
            return await super().read()

    clock, store = ManualClock(), Store()
    board = PauseBoard(store, clock)
    run(store.put(stop_mark(RUN, "key:k1", clock.now_ms())))
    assert run(board.stopped(RUN))
    store.down = True
    clock.advance(10)
    assert run(board.stopped(RUN))
    assert not run(board.stopped(OTHER_RUN))


@pytest.mark.parametrize("receive_count", [1, 3])
def test_what_had_ended_before_the_stop_is_told_as_it_ended(fleet: Fleet, receive_count: int) -> None:
    body = asked(fleet, value=1)
    worked(fleet, body)
    stop(fleet)
    worked(fleet, body, receive_count)
    assert told(fleet)["output"] == {"value": 1}
    assert run(fleet.state(order_of(body).task_id)).status is Status.SUCCEEDED
