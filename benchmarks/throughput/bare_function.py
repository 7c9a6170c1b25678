"""The peer: what one writes without any framework. A queue, a loop, one conditional write a message.

No log, no lease, no retry policy, no order beyond the queue's, no result for the client. It is deployed as it stands;
`WRITES` makes it write that many items a message, as many as a log of starts and ends would have.
"""

import json
import os
import time

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, context):  # noqa: D103 - the bare function is bare
    for record in event["Records"]:
        task = json.loads(record["body"])
        for seq in range(int(os.environ["WRITES"])):
            dynamodb.put_item(
                TableName=os.environ["TABLE"],
                Item={
                    "task_id": {"S": task["task_id"]},
                    "seq": {"N": str(seq)},
                    "result": {"S": json.dumps(task["value"])},
                    "at_ms": {"N": str(time.time_ns() // 1_000_000)},  # noqa: TID251 - it has no clock either
                },
                ConditionExpression="attribute_not_exists(task_id)",
            )
    print(json.dumps({"message": "batch done", "records": len(event["Records"])}))
    return {"batchItemFailures": []}
