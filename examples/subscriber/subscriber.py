"""A small subscriber: hears how tasks ended, each once, from a queue behind the fleet's topic.

    python examples/subscriber/subscriber.py QUEUE_URL

Three things make it right, and they are all there is to it:

- **At least once.** A notice may come twice; its `id` is the same. What was handled is remembered.
- **No order.** A notice may overtake an earlier one of its task; `seq` tells. An older one changes nothing any more.
- **Delete last.** A message leaves the queue when it was handled. A crash in between brings it again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import boto3

WAIT_SECONDS = 20
"""Long polling: an idle subscriber costs three calls a minute."""

REMEMBERED = 10_000


class Subscriber:
    """Hands each task's newest transition to `on_transition`, once.

    What it has seen it keeps in memory. One that must not repeat itself after a restart keeps `newest` where it keeps
    its own work: in the same transaction, best.

    Args:
        on_transition: Called with a notice; if it raises, the notice comes again.
        remembered: Tasks to remember at the most.
    """

    def __init__(self, on_transition: Callable[[dict[str, Any]], None], remembered: int = REMEMBERED) -> None:
        self._on_transition = on_transition
        self._remembered = remembered
        self._newest: dict[str, int] = {}

    def handle(self, body: str) -> None:
        """Handle one message's body, as it comes with raw message delivery."""
        notice = json.loads(body)
        task_id, seq = notice["data"]["id"], notice["data"]["seq"]
        if self._newest.get(task_id, -1) >= seq:
            return  # a duplicate, or overtaken
        self._on_transition(notice)
        self._newest.pop(task_id, None)
        self._newest[task_id] = seq
        while len(self._newest) > self._remembered:
            self._newest.pop(next(iter(self._newest)))


def poll(sqs: Any, queue_url: str, subscriber: Subscriber, wait_seconds: int = WAIT_SECONDS) -> int:
    """Receive once, handle what came, delete what was handled; how many that were."""
    handled = 0
    answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_seconds)
    for message in answer.get("Messages", []):
        subscriber.handle(message["Body"])
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        handled += 1
    return handled


def show(notice: dict[str, Any]) -> None:
    """What a real subscriber would do something with."""
    task = notice["data"]
    error = f": {task['error']['message']}" if task["error"] else ""
    print(f"{notice['timestamp']}  {task['id']}  {task['agent']}  {task['status']}{error}", flush=True)  # noqa: T201


def main(queue_url: str) -> None:
    """Listen until it is stopped."""
    sqs = boto3.client("sqs")
    subscriber = Subscriber(show)
    while True:
        poll(sqs, queue_url, subscriber)


if __name__ == "__main__":
    main(sys.argv[1])
