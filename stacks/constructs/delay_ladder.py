"""The delay ladder's queues."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.background import RELAY, TRIAGE
from stacks.constructs.queues import fifo_queue
from stacks.settings_model import Delays

_MAX_RECEIVE_COUNT = 500
"""A hold in place uses up a receive, and with short tiers only, a wait of hours is made of many."""


class DelayLadder(Construct):
    """A FIFO queue for each tier, `<fleet>-delay-<seconds>.fifo`, and one for what none of them could pass on.

    A FIFO queue takes no delay per message, so each delays all of its own. What EventBridge Scheduler sends brings no
    deduplication id, hence the deduplication by content.

    Attributes:
        tiers: By what they delay by, in seconds, shortest first.
        dead_letters: Where SQS itself puts what the relay could not pass on.
    """

    def __init__(self, scope: Construct, construct_id: str, *, fleet: str, delays: Delays) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = fifo_queue(
            self,
            "DeadLetters",
            f"{fleet}-delays-dlq",
            visibility_timeout=cdk.Duration.seconds(TRIAGE.visibility_timeout_seconds),
        )
        self.tiers: Mapping[int, sqs.Queue] = {
            seconds: fifo_queue(
                self,
                f"Tier{seconds}",
                f"{fleet}-delay-{seconds}",
                visibility_timeout=cdk.Duration.seconds(RELAY.visibility_timeout_seconds),
                delay=cdk.Duration.seconds(seconds),
                content_based_deduplication=True,
                dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=_MAX_RECEIVE_COUNT),
            )
            for seconds in delays.tiers_seconds
        }

    @property
    def entrance(self) -> sqs.Queue:
        """Where what comes from outside the ladder enters it: the shortest tier."""
        return self.tiers[min(self.tiers)]
