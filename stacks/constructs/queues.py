"""Queues: encrypted, reached by TLS only, and keeping messages as long as SQS can."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

_RETENTION = cdk.Duration.days(14)


def fifo_queue(
    scope: Construct,
    construct_id: str,
    name: str,
    *,
    visibility_timeout: cdk.Duration,
    dead_letter_queue: sqs.DeadLetterQueue | None = None,
    delay: cdk.Duration | None = None,
    content_based_deduplication: bool = False,
) -> sqs.Queue:
    """A FIFO queue, `<name>.fifo`.

    High-throughput mode: deduplication and throughput are per message group, so groups do not share a limit.
    """
    return sqs.Queue(
        scope,
        construct_id,
        queue_name=f"{name}.fifo",
        fifo=True,
        content_based_deduplication=content_based_deduplication,
        deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP,
        fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=_RETENTION,
        visibility_timeout=visibility_timeout,
        delivery_delay=delay,
        dead_letter_queue=dead_letter_queue,
    )


def standard_queue(
    scope: Construct,
    construct_id: str,
    name: str,
    *,
    visibility_timeout: cdk.Duration | None = None,
    dead_letter_queue: sqs.DeadLetterQueue | None = None,
) -> sqs.Queue:
    """A standard queue: no order, and now and then a message twice."""
    return sqs.Queue(
        scope,
        construct_id,
        queue_name=name,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=_RETENTION,
        visibility_timeout=visibility_timeout,
        dead_letter_queue=dead_letter_queue,
    )
