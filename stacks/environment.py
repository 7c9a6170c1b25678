"""What functions are told through their environment. The runtime's side of it is `flotilla.runtime.settings`."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk

from stacks.constructs.fifo_lane import FifoLane
from stacks.settings_model import Fleet
from stacks.state_stack import StateStack


def task_environment(fleet: Fleet, state: StateStack) -> dict[str, str]:
    """What every function that handles tasks is told."""
    return {
        "FLOTILLA_NAME": fleet.name,
        "FLOTILLA_EVENTS_TABLE": state.events.table_name,
        "FLOTILLA_PAYLOADS_BUCKET": state.payloads_name,
        "FLOTILLA_INLINE_PAYLOAD_BYTES": str(fleet.payloads.inline_bytes),
        "FLOTILLA_RETENTION_DAYS": str(fleet.retention.days),
    }


def lane_queues(stack: cdk.Stack, lanes: Mapping[str, FifoLane]) -> str:
    """The queues of `lanes`, as JSON: `{"critical": {"queue_url": …, "dlq_url": …}}`."""
    urls = {
        name: {"queue_url": lane.queue.queue_url, "dlq_url": lane.dead_letters.queue_url}
        for name, lane in lanes.items()
    }
    return stack.to_json_string(urls)
