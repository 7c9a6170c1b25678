"""What lanes may have at once, as Lambda has it: their mappings' maximum concurrency, their functions' reservation.

Failure policy: an error to the caller, who does nothing on what it does not know (`services.scale`). Two refusals are
answers and no errors: a mapping takes no second change while it is at one, and no reservation is given that leaves the
account less than it must keep for functions without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync
from flotilla.scaling_ports import Capacity, MappingState

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_STATES = {"Enabled": MappingState.ENABLED, "Disabled": MappingState.DISABLED}
"""The others it has on its way from one to the next."""

_BEING_CHANGED = frozenset({"ResourceInUseException", "ResourceConflictException"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Worker:
    """Who works off a lane.

    Attributes:
        function: The function's name.
        mapping: The id of the event source mapping that feeds it.
    """

    function: str
    mapping: str


class LambdaLaneCapacity:
    """`LaneCapacity` over Lambda's API, whose calls cost nothing but are limited to some fifteen a second.

    Args:
        client: A Lambda client.
        workers: By lane.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: LambdaClient, workers: Mapping[str, Worker], run_sync: RunSync) -> None:
        self._client = client
        self._workers = dict(workers)
        self._run_sync = run_sync

    async def read(self, lane: str) -> Capacity:
        """See `LaneCapacity.read`."""
        worker = self._workers[lane]
        (concurrency, state), reserved = await asyncio.gather(
            self._run_sync(_answered, lambda: self._mapping(worker)),
            self._run_sync(_answered, lambda: self._reserved(worker)),
        )
        return Capacity(concurrency, reserved, state)

    async def limit(self, lane: str, concurrency: int) -> bool:
        """See `LaneCapacity.limit`."""
        worker = self._workers[lane]
        return await self._run_sync(_answered, lambda: self._limit(worker, concurrency))

    async def reserve(self, lane: str, reserved: int) -> bool:
        """See `LaneCapacity.reserve`."""
        worker = self._workers[lane]
        return await self._run_sync(_answered, lambda: self._reserve(worker, reserved))

    def _mapping(self, worker: Worker) -> tuple[int | None, MappingState]:
        answer = self._client.get_event_source_mapping(UUID=worker.mapping)
        maximum = (answer.get("ScalingConfig") or {}).get("MaximumConcurrency")
        state = _STATES.get(str(answer.get("State")), MappingState.CHANGING)
        return None if maximum is None else int(maximum), state

    def _reserved(self, worker: Worker) -> int | None:
        answer: Mapping[str, Any] = self._client.get_function_concurrency(FunctionName=worker.function)
        reserved = answer.get("ReservedConcurrentExecutions")
        return None if reserved is None else int(reserved)

    def _limit(self, worker: Worker, concurrency: int) -> bool:
        try:
            self._client.update_event_source_mapping(
                UUID=worker.mapping, ScalingConfig={"MaximumConcurrency": concurrency}
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _BEING_CHANGED:
                return False
            raise
        return True

    def _reserve(self, worker: Worker, reserved: int) -> bool:
        try:
            self._client.put_function_concurrency(FunctionName=worker.function, ReservedConcurrentExecutions=reserved)
        except ClientError as error:
            # "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution
            # below its minimum value": the code is that of any wrong parameter, and what we send is otherwise right.
            if error.response["Error"]["Code"] == "InvalidParameterValueException":
                return False
            raise
        return True


def _answered(call: Callable[[], T]) -> T:
    try:
        return call()
    except (ClientError, BotoCoreError) as error:
        raise StoreUnavailableError("Lambda did not answer", code="capacity_unavailable") from error
