"""Tasks that wait, over a fleet in memory: messages of every kind, and signals."""

from __future__ import annotations

from typing import Any

from flotilla.models import Delivery, TaskMessage
from flotilla.services.batch import BatchResult
from flotilla.services.signal import Signal, Signalled, SignalService
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.open_logs import open_logs

LANES = ("standard",)


def signaller(fleet: Fleet, *, log: Any = None, dispatch: Any = None, lanes: Any = LANES) -> SignalService:
    return SignalService(
        logs=open_logs(fleet, log=log), dispatch=dispatch or fleet.dispatch, lanes=lanes, clock=fleet.clock
    )


async def give(
    fleet: Fleet,
    task_id: str,
    name: str = "decision",
    payload: Any = "yes",
    *,
    request_id: str = "r1",
    waiting_seq: int | None = None,
    tenant: str | None = "acme",
    **options: Any,
) -> Signalled | None:
    signal = Signal(name, payload, "key:k2", request_id, waiting_seq)
    return await signaller(fleet, **options).signal(task_id, signal, tenant=tenant)


def submitted(fleet: Fleet, agent: str, value: Any = None, **options: Any) -> str:
    return str(run(fleet.submit(agent, value or {}, **options)).state.task_id)


def begun(fleet: Fleet, agent: str = "waiting.approval", value: Any = None, **options: Any) -> str:
    """A task whose first attempt is over."""
    task = submitted(fleet, agent, value, **options)
    run(fleet.deliver(fleet.delivery(task)))
    return task


def on_lane(fleet: Fleet, task_id: str) -> TaskMessage:
    """The newest message of a task that was put on its lane."""
    return max((sent for sent in fleet.lanes.sent.values() if sent.task_id == task_id), key=lambda sent: sent.seq)


def delivery_of(message: TaskMessage, receive_count: int = 1) -> Delivery:
    name = f"{message.task_id}/{message.seq}"
    return Delivery(name, f"{name}/{receive_count}", message.group, receive_count, message.to_body())


def go_on(fleet: Fleet, task_id: str) -> BatchResult:
    """Hand a worker the newest message on the lane."""
    return run(fleet.deliver(delivery_of(on_lane(fleet, task_id))))  # type: ignore[no-any-return]
