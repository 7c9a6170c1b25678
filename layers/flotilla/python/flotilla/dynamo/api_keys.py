"""API keys in the `control` table, of which only a hash is stored.

Failure policy: closed. A key that cannot be looked up is not a key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who a key stands for.

    Attributes:
        expires_at: Epoch seconds after which the key is none, or None.
    """

    key_id: str
    tenant: str
    scopes: frozenset[str]
    expires_at: int | None


def partition_key(raw_key: str) -> str:
    """Where a raw key's record lies. Keys are 240 random bits, so a plain hash suffices."""
    return "KEY#" + hashlib.sha256(raw_key.encode()).hexdigest()


class DynamoApiKeys:
    """Looks keys up."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def find(self, raw_key: str) -> ApiKey | None:
        """The key's record, or None where there is none.

        Raises:
            RetryableError: The table did not answer.
        """
        try:
            answer = self._client.get_item(
                TableName=self._table,
                Key={"pk": {"S": partition_key(raw_key)}, "sk": {"S": "KEY"}},
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the keys did not answer", code="keys_unavailable") from error
        item = answer.get("Item")
        if item is None:
            return None
        return ApiKey(
            key_id=item["key_id"]["S"],
            tenant=item["tenant"]["S"],
            scopes=frozenset(scope["S"] for scope in item["scopes"]["L"]),
            expires_at=int(item["expires_at"]["N"]) if "expires_at" in item else None,
        )
