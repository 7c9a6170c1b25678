"""Secrets in AWS Secrets Manager, by their names.

Failure policy: an error to the caller, who decides whether what it knows already will do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import ParkedError, StoreUnavailableError
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_UNTIL_MENDED = frozenset({"ResourceNotFoundException", "AccessDeniedException", "InvalidRequestException"})
_RETRY_SECONDS = 30.0


class SecretsManagerSecrets:
    """`Secrets` over Secrets Manager.

    Args:
        client: Makes (or returns the cached) client: most processes never need one.
        run_sync: Runs its calls.
    """

    def __init__(self, client: Callable[[], SecretsManagerClient], run_sync: RunSync) -> None:
        self._client = client
        self._run_sync = run_sync

    async def read(self, name: str) -> str:
        """See `Secrets.read`."""
        return await self._run_sync(self._read, name)

    def _read(self, name: str) -> str:
        try:
            found = self._client().get_secret_value(SecretId=name)
        except ClientError as error:
            if error.response["Error"]["Code"] in _UNTIL_MENDED:
                raise _unusable(f"the secret {name} cannot be read") from error
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error
        text = found.get("SecretString")
        if text is None:
            raise _unusable(f"the secret {name} is not a text")
        return text


def _unusable(why: str) -> ParkedError:
    # An operator's mistake, or a deployment under way: it is mended, and no task is to have died of it.
    return ParkedError(why, code="integration_secret", retry_after_seconds=_RETRY_SECONDS)


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the secrets did not answer", code="secrets_unavailable")
