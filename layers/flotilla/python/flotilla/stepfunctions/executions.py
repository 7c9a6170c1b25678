"""Executions of the fleet's state machines, whose names follow from the fleet's and the workflows'.

    start ── running ── ended
      ^         ^          ^
      |         |          a name is taken for 90 days: nothing begins a second time
      |         started again by whoever does not know: the same execution

Failure policy: closed. What did not surely happen is an error to the caller, who does it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import FlotillaError, PermanentError, StoreUnavailableError
from flotilla.ports import RunSync
from flotilla.workflow_ports import Execution, ExecutionStatus, MapProgress

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_LONGEST_DOCUMENT = 262_144
_CAUSE_CHARACTERS = 32_768
_NONE_THERE = frozenset({"ExecutionDoesNotExist", "StateMachineDoesNotExist"})


class StepFunctionsExecutions:
    """`Executions` of Step Functions.

    Args:
        client: Makes (or returns the cached) client.
        prefix: What the ARNs of the fleet's state machines begin with, up to the workflow's name:
            `arn:aws:states:<region>:<account>:stateMachine:<fleet>-`.
        run_sync: Runs its calls.
    """

    def __init__(self, client: Callable[[], SFNClient], prefix: str, run_sync: RunSync) -> None:
        self._client = client
        self._machines = prefix
        self._executions = prefix.replace(":stateMachine:", ":execution:", 1)
        self._run_sync = run_sync

    async def start(self, workflow: str, name: str, document: str) -> bool:
        """See `Executions.start`."""
        return await self._run_sync(self._start, workflow, name, document)

    async def stop(self, workflow: str, name: str, cause: str) -> None:
        """See `Executions.stop`."""
        await self._run_sync(self._stop, workflow, name, cause)

    async def find(self, workflow: str, name: str) -> Execution | None:
        """See `Executions.find`."""
        return await self._run_sync(self._find, workflow, name)

    async def maps(self, workflow: str, name: str) -> list[MapProgress]:
        """See `Executions.maps`."""
        return await self._run_sync(self._maps, workflow, name)

    def _arn(self, workflow: str, name: str) -> str:
        return f"{self._executions}{workflow}:{name}"

    def _start(self, workflow: str, name: str, document: str) -> bool:
        if len(document.encode()) > _LONGEST_DOCUMENT:
            raise PermanentError("the input is longer than an execution takes", code="input_too_long")
        try:
            self._client().start_execution(stateMachineArn=f"{self._machines}{workflow}", name=name, input=document)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ExecutionAlreadyExists":
                # It has ended, or it runs with other words for the same input: those of an earlier version.
                found = self._find(workflow, name)
                return found is not None and found.status is ExecutionStatus.RUNNING
            if code == "StateMachineDoesNotExist":
                raise PermanentError(f"workflow {workflow} has no state machine", code="unknown_workflow") from error
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error
        return True

    def _stop(self, workflow: str, name: str, cause: str) -> None:
        try:
            self._client().stop_execution(executionArn=self._arn(workflow, name), cause=cause[:_CAUSE_CHARACTERS])
        except ClientError as error:
            if error.response["Error"]["Code"] in _NONE_THERE:
                return
            # Of one that has ended AWS says that it is stopped; what stands in for it may refuse.
            found = self._find(workflow, name)
            if found is None or found.status is not ExecutionStatus.RUNNING:
                return
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error

    def _find(self, workflow: str, name: str) -> Execution | None:
        try:
            found: Any = self._client().describe_execution(executionArn=self._arn(workflow, name))
        except ClientError as error:
            if error.response["Error"]["Code"] in _NONE_THERE:
                return None
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error
        status = _status(found["status"])
        return Execution(
            workflow=workflow,
            name=name,
            status=status,
            output=found.get("output") if status is ExecutionStatus.SUCCEEDED else None,
            error=found.get("error"),
            cause=found.get("cause"),
        )

    def _maps(self, workflow: str, name: str) -> list[MapProgress]:
        try:
            runs = sorted(self._runs(self._arn(workflow, name)), key=lambda run: run["startDate"])
            return [self._progress(run["mapRunArn"]) for run in runs]
        except ClientError as error:
            if error.response["Error"]["Code"] in _NONE_THERE:
                return []
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error

    def _runs(self, execution_arn: str) -> Iterator[Any]:
        request: dict[str, Any] = {"executionArn": execution_arn}
        while True:
            page: Any = self._client().list_map_runs(**request)
            yield from page.get("mapRuns", ())
            if not page.get("nextToken"):
                return
            request["nextToken"] = page["nextToken"]

    def _progress(self, arn: str) -> MapProgress:
        counts: Any = self._client().describe_map_run(mapRunArn=arn)["itemCounts"]
        return MapProgress(
            state=_label(arn),
            total=counts["total"],
            pending=counts["pending"],
            running=counts["running"],
            succeeded=counts["succeeded"],
            failed=counts["failed"] + counts["timedOut"] + counts["aborted"],
        )


def _label(map_run_arn: str) -> str:
    """The label of the map's state, which is in the ARN between the state machine's name and the run's own id."""
    return map_run_arn.rpartition("/")[2].partition(":")[0]


def _status(text: str) -> ExecutionStatus:
    # One that can be redriven waits for somebody to do so; it has ended as much as any that failed.
    return ExecutionStatus.FAILED if text == "PENDING_REDRIVE" else ExecutionStatus(text)


def _unavailable() -> FlotillaError:
    return StoreUnavailableError("Step Functions did not answer", code="step_functions_unavailable")
