"""Budgets in the `control` table: one item for each scope, and one conditional update for each change.

A reservation is an attribute of its own, so that those of many calls at once do not get in each other's way, and what
an update found comes back with either answer: nothing is ever read. An item has room for thousands of them at once.

Failure policy: an error to the caller. What happens without an answer is decided by who asks (`Budgets`: work goes on).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.budget_ports import Changed
from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync
from flotilla.primitives.budget import Account, Change, Hold, Reserve, Settle

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PARTITION_PREFIX = "BUDGET#"
SORT_KEY = "BUDGET"
_HOLD_PREFIX = "hold#"


class DynamoBudgets:
    """`BudgetStore` over the `control` table."""

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def change(self, scope: str, change: Change, expires_at: int) -> Changed:
        """See `BudgetStore.change`."""
        return await self._run_sync(self._change, scope, change, expires_at)

    def _change(self, scope: str, change: Change, expires_at: int) -> Changed:
        request = _settle(change) if isinstance(change, Settle) else _reserve(change)
        request["ExpressionAttributeValues"][":expires"] = {"N": str(expires_at)}
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": PARTITION_PREFIX + scope}, "sk": {"S": SORT_KEY}},
                ReturnValues="ALL_OLD",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **request,
            )
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            response: dict[str, Any] = dict(refusal.response)
            return Changed(done=False, before=_account(response.get("Item")))
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the budgets did not answer", code="budgets_unavailable") from error
        return Changed(done=True, before=_account(answer.get("Attributes")))


def _reserve(change: Reserve) -> dict[str, Any]:
    names = {"#own": _HOLD_PREFIX + change.id}
    values: dict[str, Any] = {
        ":zero": {"N": "0"},
        ":change": {"N": str(change.hold.amount)},
        ":lost": {"N": str(sum(held.amount for held in change.written_off.values()))},
        ":own": _text(change.hold),
    }
    sets = [
        "used = if_not_exists(used, :zero) + :change",
        "spent = if_not_exists(spent, :zero) + :lost",
        "#own = :own",
        "expires_at = :expires",
    ]
    # The reservation was not made before: the answer to that may have been lost.
    conditions = ["attribute_not_exists(#own)"]
    if change.room is not None:
        # What is used leaves room for it. Where nothing was ever used, whoever planned this has seen to that.
        conditions.append("(attribute_not_exists(used) OR used <= :room)")
        values[":room"] = {"N": str(change.room)}
    for number, (key, held) in enumerate(change.written_off.items()):
        names[f"#lost{number}"] = _HOLD_PREFIX + key
        values[f":lost{number}"] = _text(held)
        # What is written off was neither settled meanwhile, nor written off by another.
        conditions.append(f"#lost{number} = :lost{number}")
    update = "SET " + ", ".join(sets)
    if change.written_off:
        update += " REMOVE " + ", ".join(f"#lost{number}" for number in range(len(change.written_off)))
    return _request(update, conditions, names, values)


def _settle(change: Settle) -> dict[str, Any]:
    update = "SET used = used + :change, spent = spent + :cost, expires_at = :expires REMOVE #own"
    values = {
        ":change": {"N": str(change.cost - change.hold.amount)},
        ":cost": {"N": str(change.cost)},
        ":own": _text(change.hold),
    }
    # It was neither settled before nor written off.
    return _request(update, ["#own = :own"], {"#own": _HOLD_PREFIX + change.id}, values)


def _request(update: str, conditions: list[str], names: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    return {
        "UpdateExpression": update,
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def _text(hold: Hold) -> dict[str, Any]:
    return {"S": f"{hold.amount}:{hold.until_ms}"}


def _account(item: dict[str, Any] | None) -> Account:
    if not item:
        return Account()
    holds: dict[str, Hold] = {}
    for name, value in item.items():
        if name.startswith(_HOLD_PREFIX):
            amount, _, until_ms = value["S"].partition(":")
            holds[name.removeprefix(_HOLD_PREFIX)] = Hold(int(amount), int(until_ms))
    return Account(int(item["spent"]["N"]), int(item["used"]["N"]), holds)
