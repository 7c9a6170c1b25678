"""On one machine, what nobody waits for stands back behind the engine, the API and the lane of the highest priority."""

from __future__ import annotations

import psutil

from local.engine_patches import niceness_of
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.waiting import eventually


def test_each_functions_processes_have_their_niceness(engine: Engine, tenant: FleetClient) -> None:
    own = psutil.Process().nice()
    for lane in ("critical", "batch"):
        assert tenant.run("diagnostics.echo", {"value": lane}, lane=lane)["status"] == "succeeded"

    def found() -> dict[str, int] | None:
        """How nice the processes of functions are, once there are some of both kinds."""
        processes = [child for pid in engine.process_ids() for child in psutil.Process(pid).children()]
        nice = dict(filter(None, map(niceness, processes)))
        return nice if {"flotilla-worker-critical", "flotilla-worker-batch", "flotilla-api"} <= nice.keys() else None

    for name, nice in eventually(found, "processes of three functions").items():
        assert nice == max(own, niceness_of(name)), name


def niceness(process: psutil.Process) -> tuple[str, int] | None:
    """Whose process it is, and how nice; None where it has ended, or is no function's."""
    try:
        name = process.environ().get("AWS_LAMBDA_FUNCTION_NAME", "")
        return (name, process.nice()) if name else None
    except psutil.Error:
        return None
