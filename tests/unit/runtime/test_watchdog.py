"""The watchdog ends the process when a lease is outlived, and never otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from flotilla.runtime.watchdog import LeaseWatchdog
from tests.fakes import ManualClock

PATIENCE_SECONDS = 10
"""How long to wait for another thread; nothing waits that long unless it has failed."""

HOUR_MS = 3_600_000


class WatchedClock(ManualClock):
    """A clock that stands, and tells how often it was read."""

    def __init__(self) -> None:
        super().__init__()
        self._read = threading.Condition()
        self._reads = 0

    def now_ms(self) -> int:
        with self._read:
            self._reads += 1
            self._read.notify_all()
        return super().now_ms()

    def at(self, hours: float) -> int:
        """That many hours from now, without reading the clock."""
        return self._now_ms + int(hours * HOUR_MS)

    @property
    def reads(self) -> int:
        return self._reads

    def wait_for_reads(self, count: int) -> None:
        """Until the watchdog has looked at the clock so often in all."""
        with self._read:
            assert self._read.wait_for(lambda: self._reads >= count, PATIENCE_SECONDS)


class Scene:
    """A watchdog whose bite is seen and not felt."""

    def __init__(self) -> None:
        self.clock = WatchedClock()
        self.bitten = threading.Event()
        self.watchdog = LeaseWatchdog(self.clock, self.bitten.set)

    def looks_again(self, key: str, hours: float) -> None:
        """Arm a lease early enough to wake the watchdog, and wait until it has looked at all of them."""
        reads = self.clock.reads
        self.watchdog.arm(key, self.clock.at(hours))
        self.clock.wait_for_reads(reads + 1)

    def bites(self) -> bool:
        return self.bitten.wait(PATIENCE_SECONDS)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    if not made.bitten.is_set():  # let its thread end
        made.watchdog.arm("end of the test", 0)
        assert made.bites()


def test_a_lease_that_is_outlived_ends_the_process(scene: Scene) -> None:
    scene.looks_again("late", 1)
    assert not scene.bitten.is_set()
    scene.clock.advance(2 * 3600)
    scene.watchdog.arm("other", scene.clock.at(-1.5))
    assert scene.bites()


def test_a_lease_that_is_over_when_it_is_armed_ends_the_process(scene: Scene) -> None:
    scene.watchdog.arm("late", scene.clock.at(0))
    assert scene.bites()


def test_a_lease_that_was_given_up_in_time_does_not(scene: Scene) -> None:
    scene.looks_again("done", 2)
    scene.watchdog.disarm("done")
    scene.clock.advance(3 * 3600)
    scene.looks_again("next", 1)
    assert not scene.bitten.is_set()


def test_one_that_is_given_up_does_not_hide_another(scene: Scene) -> None:
    scene.looks_again("long", 3)
    scene.looks_again("short", 2)
    scene.watchdog.disarm("short")
    scene.clock.advance(4 * 3600)
    scene.watchdog.arm("wakes it", scene.clock.at(-3))
    scene.watchdog.disarm("wakes it")
    assert scene.bites()


def test_an_earlier_lease_is_watched_though_it_came_later(scene: Scene) -> None:
    """The watchdog waits for the first of them; one that comes before it must wake it."""
    scene.looks_again("long", 3)
    scene.looks_again("short", 1)
    assert not scene.bitten.is_set()
    scene.clock.advance(2 * 3600)
    scene.watchdog.arm("wakes it", scene.clock.at(-1.5))
    assert scene.bites()


def test_a_lease_armed_when_none_was_left_is_watched(scene: Scene) -> None:
    for hours in (9, 8, 7):
        scene.looks_again("task", hours)
        scene.watchdog.disarm("task")
    scene.watchdog.arm("late", scene.clock.at(-1))
    assert scene.bites()


def test_giving_up_what_was_never_armed_is_harmless(scene: Scene) -> None:
    scene.watchdog.disarm("never")
    assert not scene.bitten.is_set()


def test_many_threads_may_arm_and_give_up_at_once(scene: Scene) -> None:
    def work(worker: int) -> None:
        for number in range(200):
            key = f"{worker}/{number}"
            scene.watchdog.arm(key, scene.clock.at(1 + number))
            scene.watchdog.disarm(key)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scene.looks_again("last", 1)
    assert not scene.bitten.is_set()


BUSY = """
from flotilla.clock import SystemClock
from flotilla.runtime.watchdog import LeaseWatchdog

clock = SystemClock()
LeaseWatchdog(clock).arm("busy", clock.now_ms() + 50)
while True:
    pass
"""


def test_a_process_whose_loop_never_comes_back_is_ended() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", BUSY], check=False, timeout=60, capture_output=True, env=environment)
    assert ended.returncode == 70
