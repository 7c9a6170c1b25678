"""API keys for the one who runs the engine: an operator's and a tenant's.

Only the hash of a key is stored in the control table, as everywhere; the keys themselves lie in the instance's
`local.json`, which only its user can read.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from local.clients import client

_KEY_BYTES = 30  # 40 URL-safe characters


@dataclass(frozen=True)
class KeyHolder:
    """Who a key is for and what it may do."""

    tenant: str
    scopes: tuple[str, ...]


OPERATOR = KeyHolder("operator", ("tasks:write", "tasks:read", "operate"))
TENANT = KeyHolder("demo", ("tasks:write", "tasks:read"))


def ensure_key(holder: KeyHolder, *, current: str | None, engine_url: str, control_table: str, now_ms: int) -> str:
    """A key of `holder` that the deployment knows: `current` if it does, else a new one.

    Args:
        holder: Whose key.
        current: The key in use so far, if any.
        engine_url: The engine's endpoint.
        control_table: Name of the table that holds the keys.
        now_ms: Now, in epoch milliseconds.
    """
    tables = client("dynamodb", engine_url)
    if current is not None:
        item = {"pk": {"S": _partition(current)}, "sk": {"S": "KEY"}}
        if "Item" in tables.get_item(TableName=control_table, Key=item, ConsistentRead=True):
            return current
    key = f"flt_{secrets.token_urlsafe(_KEY_BYTES)}"
    tables.put_item(
        TableName=control_table,
        Item={
            "pk": {"S": _partition(key)},
            "sk": {"S": "KEY"},
            "key_id": {"S": f"key_{secrets.token_hex(8)}"},
            "tenant": {"S": holder.tenant},
            "scopes": {"L": [{"S": scope} for scope in holder.scopes]},
            "created_at_ms": {"N": str(now_ms)},
        },
    )
    return key


def _partition(key: str) -> str:
    return f"KEY#{hashlib.sha256(key.encode()).hexdigest()}"
