"""What operators see of circuits and decide about them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.services.circuit_desk import CircuitDesk
from tests.unit.services.circuit_fleet import FAILED, NAME, OK, FailingCircuits, Scene, run


def desk(scene: Scene) -> CircuitDesk:
    return CircuitDesk(scene.store, {"model.fast": CircuitPolicy(), NAME: scene.policy}, scene.clock, scene.transitions)


def test_circuits_that_are_only_configured_are_shown_as_well_as_forgotten_ones() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.open(breaker)
        scene.store.records["gone"] = scene.record
        readings = await desk(scene).all()
        assert [(one.circuit, one.record.state) for one in readings] == [
            ("gone", CircuitState.OPEN),
            (NAME, CircuitState.OPEN),
            ("model.fast", CircuitState.CLOSED),
        ]

    run(scenario())


def test_what_was_called_is_shown() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        for outcome in (OK, OK, OK, FAILED):
            await scene.call(breaker, outcome, seconds=0.1)
        await breaker.flush(everything=True)
        reading = await desk(scene).one(NAME)
        assert (reading.volume, reading.failure_rate, reading.probes) == (4, 0.25, 0)
        assert reading.p99_ms == pytest.approx(100, rel=0.15)

    run(scenario())


def test_a_circuit_whose_cooldown_is_over_is_shown_half_open_with_its_probes() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.open(breaker)
        scene.to_the_end_of_the_cooldown()
        assert (await desk(scene).one(NAME)).record.state is CircuitState.HALF_OPEN
        await breaker.before()
        assert (await desk(scene).one(NAME)).probes == 1
        scene.clock.advance(scene.policy.probe_lease_ms / 1000)
        assert (await desk(scene).one(NAME)).probes == 0

    run(scenario())


def test_an_operator_forces_a_circuit_and_that_is_told() -> None:
    scene = Scene()

    async def scenario() -> None:
        for mode in (CircuitMode.OPEN, CircuitMode.OPEN, CircuitMode.AUTO):
            reading = await desk(scene).force(NAME, mode, actor="key:k1", reason="an incident")
            assert reading.record.mode is mode
            assert reading.record.by == "key:k1"

    run(scenario())
    assert [step.after.mode for step in scene.told] == [CircuitMode.OPEN, CircuitMode.AUTO]


class Moving(FailingCircuits):
    """Circuits that somebody moves just after the first look at them."""

    def __init__(self) -> None:
        super().__init__()
        self._moved = False

    async def read(self, circuit: str, *, consistent: bool) -> CircuitRecord:
        found = await super().read(circuit, consistent=consistent)
        if not self._moved:
            self._moved = True
            await self.transition(circuit, replace(found, version=found.version + 1, state=CircuitState.OPEN))
        return found


def test_an_operator_s_decision_is_made_whatever_happens_meanwhile() -> None:
    scene = Scene()
    scene.store = Moving()

    async def scenario() -> None:
        reading = await desk(scene).force(NAME, CircuitMode.CLOSED, actor="key:k1")
        assert reading.record.mode is CircuitMode.CLOSED
        assert reading.record.version == 2

    run(scenario())
