"""A priority lane's queues."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.background import TRIAGE
from stacks.constructs.queues import fifo_queue
from stacks.settings_model import Lane


class FifoLane(Construct):
    """A FIFO queue and its FIFO dead letter queue, `<fleet>-<lane>.fifo` and `<fleet>-<lane>-dlq.fifo`.

    Attributes:
        queue: Where tasks wait.
        dead_letters: Where SQS itself puts what no worker could record.
    """

    def __init__(self, scope: Construct, construct_id: str, *, fleet: str, name: str, lane: Lane) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = fifo_queue(
            self,
            "DeadLetters",
            f"{fleet}-{name}-dlq",
            visibility_timeout=cdk.Duration.seconds(TRIAGE.visibility_timeout_seconds),
        )
        self.queue = fifo_queue(
            self,
            "Queue",
            f"{fleet}-{name}",
            visibility_timeout=cdk.Duration.seconds(lane.visibility_timeout_seconds),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=lane.max_receive_count),
        )
