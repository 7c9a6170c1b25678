"""Counts of what the diagnostic agents really did, outside of the event log: a log that lied would be found out."""

from __future__ import annotations

from typing import Any

from flotilla.clock import SystemClock
from flotilla.runtime import clients
from flotilla.runtime.settings import DiagnosticsSettings

_COUNTERS_KEPT_SECONDS = 86_400


class Counters:
    """Counters of one task in the `control` table, moved by atomic `ADD`."""

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._table = DiagnosticsSettings.read().control_table

    def add(self, name: str, amount: int = 1) -> int:
        """Add to a counter and return where it stands."""
        return int(self._update(name, {":amount": {"N": str(amount)}})["total"]["N"])

    def send(self, name: str, idempotency_key: str) -> tuple[int, int]:
        """Count a send; returns all sends and the distinct keys among them."""
        found = self._update(name, {":amount": {"N": "1"}, ":key": {"SS": [idempotency_key]}})
        return int(found["total"]["N"]), len(found["distinct"]["SS"])

    def _update(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        expires_at = SystemClock().now_ms() // 1000 + _COUNTERS_KEPT_SECONDS
        # "total" is a reserved word; "distinct" too.
        added = "#total :amount, #distinct :key" if ":key" in values else "#total :amount"
        names = {"#total": "total", "#expires": "expires_at"} | ({"#distinct": "distinct"} if ":key" in values else {})
        answer = clients.dynamodb().update_item(
            TableName=self._table,
            Key={"pk": {"S": f"DIAGNOSTICS#{self._task_id}"}, "sk": {"S": name}},
            UpdateExpression=f"ADD {added} SET #expires = :expires",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values | {":expires": {"N": str(expires_at)}},
            ReturnValues="ALL_NEW",
        )
        return dict(answer["Attributes"])
