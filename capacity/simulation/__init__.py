"""A discrete-event model of SQS FIFO queues and Lambda by AWS's scaling rules, for trying out loads and scalers.

    lane = SimulatedLane(Load(steady(167.0), steady(6.0)), Setting(concurrency=200, reserved=200))
    result = simulate({"standard": lane}, seconds=24 * 3600, scaler=None, seed=1)
    result.lanes["standard"].wait_p95, result.dollars, result.lanes["standard"].series

The same arguments give the same result. The load is the same for every scaler and every setting with the same seed.
"""

from capacity.simulation.engine import simulate
from capacity.simulation.loads import burst, diurnal, ramp, sawtooth, steady, step
from capacity.simulation.model import (
    PROVISIONED_POLLERS,
    LaneResult,
    Load,
    Observed,
    Point,
    Result,
    Rules,
    Scaler,
    Setting,
    SimulatedLane,
)

__all__ = [
    "PROVISIONED_POLLERS",
    "LaneResult",
    "Load",
    "Observed",
    "Point",
    "Result",
    "Rules",
    "Scaler",
    "Setting",
    "SimulatedLane",
    "burst",
    "diurnal",
    "ramp",
    "sawtooth",
    "simulate",
    "steady",
    "step",
]
