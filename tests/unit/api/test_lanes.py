"""`GET /v1/lanes`: numbers that are what they say, or null, or named as lower bounds."""

from __future__ import annotations

import pytest

from flotilla.models import LaneCounts, LaneReading, Status
from flotilla.read_model import Entry, UnreadableMessage
from flotilla.scaling_ports import Remembered, ScalingMemory
from flotilla.services.lane_status import MAX_PAGES
from tests.gateway_events import identity
from tests.unit.api.operating import OperatingApi


@pytest.fixture
def api() -> OperatingApi:
    return OperatingApi()


def entry(number: int, status: Status, *, lane: str = "standard", tenant: str = "acme") -> Entry:
    return Entry(f"tsk_{number}", tenant, "echo", lane, None, status, 0, 1, 0, 1)


def test_every_lane_is_listed_with_all_members(api: OperatingApi) -> None:
    answer = api.call("GET", "/v1/lanes").json()
    assert answer["next_cursor"] is None
    assert [item["name"] for item in answer["items"]] == ["critical", "standard", "batch"]
    assert answer["items"][0] == {
        "name": "critical",
        "state": "active",
        "pause": None,
        "depth": 0,
        "in_flight": 0,
        "age_of_oldest_seconds": None,
        "delayed": 0,
        "dead": 0,
        "at_least": [],
        "concurrency": {"now": 0, "min": 2, "max": 10, "allowed": None, "lent": 0, "borrowed": 0},
    }


def test_a_lane_at_work_is_told_as_its_queues_and_its_metrics_say(api: OperatingApi) -> None:
    api.queues.lanes["batch"] = LaneCounts(waiting=120, in_flight=30, undeliverable=0)
    api.meter.readings["batch"] = LaneReading(oldest_seconds=45, concurrency=3)
    lane = api.lane("batch")
    assert (lane["depth"], lane["in_flight"], lane["age_of_oldest_seconds"]) == (120, 30, 45)
    assert lane["concurrency"]["now"] == 3


def test_what_the_scaler_left_a_lane_with_is_told_with_whose_it_is(api: OperatingApi) -> None:
    api.memories.memory = ScalingMemory(
        4, {"critical": Remembered(2, 2), "standard": Remembered(10, 10), "batch": Remembered(8, 8)}
    )
    found = {name: api.lane(name)["concurrency"] for name in ("critical", "standard", "batch")}
    told = {name: (each["allowed"], each["lent"], each["borrowed"]) for name, each in found.items()}
    assert told == {"critical": (2, 3, 0), "standard": (10, 0, 5), "batch": (8, 0, 3)}, "of the 8, 5 are nobody's"


@pytest.mark.parametrize("lanes", [{}, {"standard": Remembered(2, 2)}])
def test_before_the_scaler_has_run_over_all_lanes_nothing_is_told_of_it(
    api: OperatingApi, lanes: dict[str, Remembered]
) -> None:
    api.memories.memory = ScalingMemory(1, lanes)
    assert api.lane("standard")["concurrency"]["allowed"] is None


def test_without_the_scalers_memory_the_rest_is_told(api: OperatingApi) -> None:
    api.memories.down = True
    assert api.lane("batch")["concurrency"] == {
        "now": 0,
        "min": 2,
        "max": 10,
        "allowed": None,
        "lent": 0,
        "borrowed": 0,
    }


def test_what_nobody_has_measured_is_null_and_not_made_up(api: OperatingApi) -> None:
    api.queues.lanes["batch"] = LaneCounts(waiting=120, in_flight=30, undeliverable=0)
    lane = api.lane("batch")
    assert lane["age_of_oldest_seconds"] is None
    assert lane["concurrency"]["now"] is None


def test_a_metric_of_what_is_gone_by_now_is_not_told(api: OperatingApi) -> None:
    api.meter.readings["batch"] = LaneReading(oldest_seconds=45, concurrency=3)
    lane = api.lane("batch")
    assert lane["age_of_oldest_seconds"] is None
    assert lane["concurrency"]["now"] == 0


def test_delayed_and_dead_tasks_are_counted_by_lane_over_all_tenants(api: OperatingApi) -> None:
    api.entries.entries = [
        *(entry(number, Status.SCHEDULED, tenant=f"t{number % 3}") for number in range(250)),
        *(entry(number, Status.SCHEDULED, lane="batch") for number in range(3)),
        *(entry(number, Status.DEAD_LETTERED, lane="batch", tenant=f"t{number % 3}") for number in range(120)),
        entry(1, Status.SUCCEEDED),
        entry(2, Status.PARKED),
    ]
    api.entries.unreadable = [UnreadableMessage("m1", "batch", "{", "not JSON", 1)]
    api.queues.lanes["batch"] = LaneCounts(waiting=0, in_flight=0, undeliverable=4)
    assert [(api.lane(name)["delayed"], api.lane(name)["dead"]) for name in ("standard", "batch")] == [
        (250, 0),
        (3, 125),
    ]
    assert api.lane("batch")["at_least"] == []


def test_of_more_than_may_be_looked_at_the_count_is_a_lower_bound_and_says_so(api: OperatingApi) -> None:
    api.entries.entries = [entry(number, Status.DEAD_LETTERED) for number in range(MAX_PAGES * 100 + 500)]
    lane = api.lane("standard")
    assert lane["at_least"] == ["dead"]
    assert 0 < lane["dead"] < MAX_PAGES * 100 + 500
    assert api.entries.reads < 2 * MAX_PAGES + 10


def test_a_fleet_of_many_tenants_is_looked_at_in_part(api: OperatingApi) -> None:
    api.entries.entries = [entry(number, Status.SCHEDULED, tenant=f"t{number:03d}") for number in range(200)]
    lane = api.lane("standard")
    assert lane["at_least"] == ["delayed"]
    assert 0 < lane["delayed"] < 200


def test_without_the_read_model_the_rest_is_told(api: OperatingApi) -> None:
    api.entries.down = True
    api.queues.lanes["batch"] = LaneCounts(waiting=2, in_flight=0, undeliverable=1)
    lane = api.lane("batch")
    assert (lane["depth"], lane["delayed"], lane["dead"], lane["at_least"]) == (2, None, None, [])


def test_without_the_queues_there_is_nothing_to_tell(api: OperatingApi) -> None:
    api.queues.down = True
    api.call("GET", "/v1/lanes").problem(503, "unavailable")


def test_the_call_takes_no_query_and_only_operators_make_it(api: OperatingApi) -> None:
    api.call("GET", "/v1/lanes", query={"limit": "5"}).problem(422, "invalid-input")
    keyed = identity(scopes="tasks:read tasks:write")
    api.call("GET", "/v1/lanes", authorizer=keyed).problem(403, "missing-scope")
