"""Which logs may be added to: whole ones that are going to stay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind
from flotilla.models import Status
from flotilla.read_model import Entry
from flotilla.services.cancel import CancelService
from flotilla.services.project import entry_of_log
from flotilla.services.redrive import NotRedrivableError
from tests.fakes.archive import MemoryArchive
from tests.fakes.views import MemoryReadModel
from tests.logs import log_of
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.open_logs import RETENTION_DAYS, open_logs
from tests.unit.services.test_redrive import redrive

DAY = 86_400
KEY = "archive/2023/11/14/22/x.jsonl.gz"


def keep(fleet: Fleet, *kinds: Kind) -> list[Event]:
    events = log_of(*kinds, task_id="tsk_1")
    fleet.log.logs["tsk_1"] = {event.seq: event for event in events}
    return events


def archived(events: list[Event]) -> tuple[MemoryReadModel, MemoryArchive]:
    views, archive = MemoryReadModel(), MemoryArchive()
    run(archive.put(KEY, [events]))
    entry: Entry = replace(entry_of_log(events), archive_key=KEY)
    run(views.put(entry))
    return views, archive


def test_a_young_log_is_open_and_costs_one_read(fleet: Fleet) -> None:
    events = keep(fleet, Kind.STARTED, Kind.DEAD_LETTERED)
    found = run(open_logs(fleet).find("tsk_1", tenant="acme"))
    assert (found.open, found.events, found.state.status) == (True, events, Status.DEAD_LETTERED)
    assert fleet.log.reads == 1


@pytest.mark.parametrize("tenant", ["acme", None])
def test_a_log_that_is_only_in_the_archive_is_not_open(fleet: Fleet, tenant: str | None) -> None:
    events = log_of(Kind.STARTED, Kind.DEAD_LETTERED, task_id="tsk_1")
    views, archive = archived(events)
    fleet.clock.advance((RETENTION_DAYS + 20) * DAY)
    found = run(open_logs(fleet, views=views, archive=archive).find("tsk_1", tenant=tenant))
    if tenant is None:
        assert found is None, "whose it is, its log would have to tell"
    else:
        assert (found.open, found.events) == (False, events)


def test_what_is_left_of_a_log_is_not_taken_for_all_of_it(fleet: Fleet) -> None:
    """Its end was dropped first: it looks like a task that still runs."""
    events = keep(fleet, Kind.STARTED, Kind.SUCCEEDED)
    views, archive = archived(events)
    del fleet.log.logs["tsk_1"][2]
    fleet.clock.advance((RETENTION_DAYS + 20) * DAY)
    logs = open_logs(fleet, views=views, archive=archive)
    service = CancelService(logs=logs, schedules=fleet.schedules, clock=fleet.clock)
    done = run(service.cancel("acme", "tsk_1", actor="key:k", request_id="r"))
    assert (done.changed, done.state.status) == (False, Status.SUCCEEDED)
    assert len(fleet.log.logs["tsk_1"]) == 2


def test_a_dead_letter_whose_log_may_be_dropped_soon_is_not_added_to(fleet: Fleet) -> None:
    keep(fleet, Kind.STARTED, Kind.DEAD_LETTERED)
    fleet.clock.advance((RETENTION_DAYS + 11) * DAY)
    assert run(open_logs(fleet).find("tsk_1", tenant="acme")).open
    fleet.clock.advance(2 * DAY)
    assert not run(open_logs(fleet).find("tsk_1", tenant="acme")).open
    with pytest.raises(NotRedrivableError):
        run(redrive(fleet, "tsk_1"))
    assert len(fleet.log.logs["tsk_1"]) == 3


def test_a_task_that_waits_for_a_year_can_be_cancelled_all_the_while(fleet: Fleet) -> None:
    due_ms = fleet.clock.now_ms() + 365 * DAY * 1000
    task = run(fleet.submit("sample.echo", {}, due_at_ms=due_ms)).state.task_id
    fleet.clock.advance(300 * DAY)
    assert run(open_logs(fleet).find(task, tenant="acme")).open


def test_a_log_of_another_tenant_is_none(fleet: Fleet) -> None:
    keep(fleet, Kind.STARTED)
    assert run(open_logs(fleet).find("tsk_1", tenant="umbrella")) is None
    assert run(open_logs(fleet).find("tsk_2", tenant="acme")) is None


def test_a_log_with_a_gap_is_corrupt(fleet: Fleet) -> None:
    keep(fleet, Kind.STARTED, Kind.STEP_RECORDED)
    del fleet.log.logs["tsk_1"][1]
    with pytest.raises(CorruptLogError):
        run(open_logs(fleet).find("tsk_1", tenant="acme"))
