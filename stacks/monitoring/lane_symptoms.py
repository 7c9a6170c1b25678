"""Lanes that keep their tasks waiting for longer than they may, as a rate at which an error budget is spent.

The objective: in 99 % of all minutes nothing waits for longer than the lane's `objective_seconds`. A minute is bad when
the oldest message is older than that, and what could be taken now would take longer than that at the rate at which
messages are finished. The second half leaves out what waits on purpose: a delayed or parked task at the head of its
session is as old as it likes, hidden, while the lane flows.

One percent of 30 days is 432 minutes. At 14.4 times the even rate an hour takes 2 % of it, and two days all: somebody
must look now. At 6 times, six hours take 5 %, and five days all: today. Each rate is seen in a long window, so that a
blip is no alarm, and in a short one, so that the alarm is over soon after its cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from stacks.monitoring.readings import of_queue
from stacks.monitoring.symptoms import MINUTE, Symptom, Together
from stacks.settings_model import Fleet, Lane

BUDGET = 0.01
"""The share of minutes that may be bad."""

URGENT_SECONDS = 900
"""Who promises to start within this wakes people when they do not; work that may wait for longer can wait for them."""

_PAGE = "late-lanes.md"


@dataclass(frozen=True)
class Window:
    """So many bad minutes of so many.

    Attributes:
        name: Its length, in the alarm's name.
        bad: The least that is more than the budget at `burn` times its rate.
        exact: Only minutes count that are bad by the whole of the definition. A short window says no more than whether
            it goes on, for which the age does, at a third of the price.
    """

    name: str
    minutes: int
    burn: float
    exact: bool

    @property
    def bad(self) -> int:
        """How many minutes of it spend the budget so fast: rounded up."""
        return -int(-self.minutes * BUDGET * self.burn // 1)


FAST = (Window("1h", 60, 14.4, exact=True), Window("5m", 5, 14.4, exact=False))
SLOW = (Window("6h", 360, 6, exact=True), Window("30m", 30, 6, exact=False))


def late_lanes(fleet: Fleet) -> Iterator[Symptom | Together]:
    """Of each lane, the four windows and what they say together."""
    for name, lane in fleet.lanes.items():
        yield from (_window(fleet.name, name, lane, window) for window in (*FAST, *SLOW))
        yield Together(
            name="lane-late",
            of=name,
            means=f"Tasks of lane {name} wait for longer than its objective of {lane.objective_seconds} s.",
            runbook=f"{_PAGE}#lane-late",
            any_of=(_keys(name, FAST), _keys(name, SLOW)),
        )


def urgent(fleet: Fleet) -> tuple[tuple[str, ...], ...]:
    """What pages: the fast windows of each lane whose tasks are urgent."""
    return tuple(_keys(name, FAST) for name, lane in fleet.lanes.items() if lane.objective_seconds <= URGENT_SECONDS)


def _keys(lane: str, windows: tuple[Window, ...]) -> tuple[str, ...]:
    return tuple(f"late-{window.name}-{lane}" for window in windows)


def _window(fleet: str, lane_name: str, lane: Lane, window: Window) -> Symptom:
    queue = f"{fleet}-{lane_name}.fifo"
    age = of_queue(queue, "ApproximateAgeOfOldestMessage", "Maximum").called("age")
    seconds = lane.objective_seconds
    short = Symptom(
        name=f"late-{window.name}",
        of=lane_name,
        means=f"Lane {lane_name} was late in {window.bad} of {window.minutes} minutes.",
        runbook=f"{_PAGE}#windows",
        readings=(age,),
        period_seconds=MINUTE,
        bad=window.bad,
        periods=window.minutes,
        breaches=">",
        threshold=seconds,
        # An idle queue has no oldest message.
        no_data="notBreaching",
        told="nobody",
    )
    if not window.exact:
        return short
    return replace(
        short,
        readings=(
            age,
            of_queue(queue, "ApproximateNumberOfMessagesVisible", "Maximum").called("waiting"),
            of_queue(queue, "NumberOfMessagesDeleted", "Sum").called("finished"),
        ),
        # What waits, divided by what is finished in a second; multiplied out, as nothing may be finished.
        expression=f"IF(age > {seconds} AND waiting * 60 > finished * {seconds}, 1, 0)",
        breaches=">=",
        threshold=1,
    )
