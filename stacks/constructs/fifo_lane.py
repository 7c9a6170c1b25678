"""A priority lane's queues."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.settings_model import Lane

_RETENTION = cdk.Duration.days(14)


class FifoLane(Construct):
    """A FIFO queue and its FIFO dead letter queue, `<fleet>-<lane>.fifo` and `<fleet>-<lane>-dlq.fifo`.

    High-throughput mode: deduplication and throughput are per message group, so groups do not share a limit.

    Attributes:
        queue: Where tasks wait.
        dead_letters: Where SQS itself puts what no worker could record.
    """

    def __init__(self, scope: Construct, construct_id: str, *, fleet: str, name: str, lane: Lane) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = self._queue("DeadLetters", f"{fleet}-{name}-dlq.fifo")
        self.queue = self._queue(
            "Queue",
            f"{fleet}-{name}.fifo",
            visibility_timeout=cdk.Duration.seconds(lane.visibility_timeout_seconds),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=lane.max_receive_count),
        )

    def _queue(
        self,
        construct_id: str,
        name: str,
        *,
        visibility_timeout: cdk.Duration | None = None,
        dead_letter_queue: sqs.DeadLetterQueue | None = None,
    ) -> sqs.Queue:
        return sqs.Queue(
            self,
            construct_id,
            queue_name=name,
            fifo=True,
            content_based_deduplication=False,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP,
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=_RETENTION,
            visibility_timeout=visibility_timeout,
            dead_letter_queue=dead_letter_queue,
        )
