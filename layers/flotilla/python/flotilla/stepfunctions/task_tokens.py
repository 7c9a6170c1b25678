"""The tokens by which Step Functions' states are answered.

Failure policy: closed. An answer that did not surely arrive is given again; one that finds nobody waiting is no error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_NOBODY_WAITS = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})
"""The state was answered, its time was over or its execution has ended; or this never was a token."""


class StepFunctionsTaskTokens:
    """`TaskTokens` of Step Functions.

    Args:
        client: Makes (or returns the cached) client: most processes never need one.
        run_sync: Runs its calls.
    """

    def __init__(self, client: Callable[[], SFNClient], run_sync: RunSync) -> None:
        self._client = client
        self._run_sync = run_sync

    async def succeed(self, token: str, output: str) -> bool:
        """See `TaskTokens.succeed`."""
        return await self._run_sync(self._succeed, token, output)

    async def fail(self, token: str, error: str, cause: str) -> bool:
        """See `TaskTokens.fail`."""
        return await self._run_sync(self._fail, token, error, cause)

    def _succeed(self, token: str, output: str) -> bool:
        return _answered(self._client().send_task_success, taskToken=token, output=output)

    def _fail(self, token: str, error: str, cause: str) -> bool:
        return _answered(self._client().send_task_failure, taskToken=token, error=error, cause=cause)


def _answered(send: Callable[..., Any], **request: str) -> bool:
    try:
        send(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] in _NOBODY_WAITS:
            return False
        raise _unavailable() from error
    except BotoCoreError as error:
        raise _unavailable() from error
    return True


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("Step Functions did not answer", code="step_functions_unavailable")
