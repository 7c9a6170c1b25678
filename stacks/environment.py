"""What functions are told through their environment. The runtime's side of it is `flotilla.runtime.settings`.

Each function here answers what one kind of thing is called and where it is, under the variables' names; a stack puts
together what its functions need, and no function is told more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import aws_cdk as cdk

from capacity import prices
from stacks import tenant_settings
from stacks.canary_settings import DEFAULT_EVERY_MINUTES
from stacks.constructs.fifo_lane import FifoLane
from stacks.constructs.workflow_permissions import state_machine_arn
from stacks.lanes_stack import LanesStack
from stacks.local_differences import Place
from stacks.settings_model import Fleet
from stacks.settings_rules import lane_pool
from stacks.state_stack import StateStack

Environment = dict[str, str]

_CALLS_FOR_TEN = 3
"""What ten messages of a lane share besides being sent: they are received, hidden and deleted by one call each."""


def event_log(fleet: Fleet, state: StateStack) -> Environment:
    """The fleet's name and its event log, for whoever reads or appends."""
    return {
        "FLOTILLA_NAME": fleet.name,
        "FLOTILLA_EVENTS_TABLE": state.events.table_name,
        "FLOTILLA_RETENTION_DAYS": str(fleet.retention.days),
    }


def payloads(state: StateStack) -> Environment:
    """Where values too large for an event lie."""
    return {"FLOTILLA_PAYLOADS_BUCKET": state.payloads_name}


def task_payloads(fleet: Fleet, state: StateStack) -> Environment:
    """The same, and from which size on, for whoever makes such values."""
    return {**payloads(state), "FLOTILLA_INLINE_PAYLOAD_BYTES": str(fleet.payloads.inline_bytes)}


def tenant_classes(fleet: Fleet) -> Environment:
    """The class of each tenant that has one, as JSON."""
    return {"FLOTILLA_TENANT_CLASSES": tenant_settings.told(fleet.tenants)}


def trace_share(fleet: Fleet) -> Environment:
    """The share of tasks whose trace others are told to record, where nobody else decides."""
    return {"FLOTILLA_TRACE_SHARE": str(fleet.logs.trace_share)} if fleet.logs.trace_share else {}


def control(state: StateStack) -> Environment:
    """The table of mutable coordination."""
    return {"FLOTILLA_CONTROL_TABLE": state.control.table_name}


def views(state: StateStack) -> Environment:
    """The read model."""
    return {"FLOTILLA_VIEWS_TABLE": state.views.table_name}


def archive(state: StateStack) -> Environment:
    """Finished logs."""
    return {"FLOTILLA_ARCHIVE_BUCKET": state.archive_name}


def archiving(fleet: Fleet, state: StateStack) -> Environment:
    """The same, and how long they stay there, for whoever writes them."""
    return {**archive(state), "FLOTILLA_ARCHIVE_DAYS": str(fleet.retention.archive_days)}


def lane_queues(stack: cdk.Stack, lanes: Mapping[str, FifoLane]) -> Environment:
    """The queues of `lanes`, as JSON: `{"critical": {"queue_url": …, "dlq_url": …}}`."""
    urls = {
        name: {"queue_url": lane.queue.queue_url, "dlq_url": lane.dead_letters.queue_url}
        for name, lane in lanes.items()
    }
    return {"FLOTILLA_LANES": stack.to_json_string(urls)}


def delay_queues(stack: cdk.Stack, lanes: LanesStack) -> Environment:
    """The delay ladder, as JSON: `{"15": {"queue_url": …, "queue_arn": …}}`."""
    tiers = {
        str(seconds): {"queue_url": tier.queue_url, "queue_arn": tier.queue_arn}
        for seconds, tier in lanes.delays.tiers.items()
    }
    return {"FLOTILLA_DELAYS": stack.to_json_string(tiers)}


def delay_dead_letters(lanes: LanesStack) -> Environment:
    """The dead letter queue of all tiers."""
    return {"FLOTILLA_DELAYS_DLQ_URL": lanes.delays.dead_letters.queue_url}


def schedules(stack: cdk.Stack, lanes: LanesStack) -> Environment:
    """What a schedule into the delay ladder is made of, as JSON: `{"group": …, "role_arn": …, "target_arn": …}`."""
    made_of = {
        "group": lanes.schedule_group,
        "role_arn": lanes.schedule_role.role_arn,
        "target_arn": lanes.delays.entrance.queue_arn,
    }
    return {"FLOTILLA_SCHEDULES": stack.to_json_string(made_of)}


def workers(fleet: Fleet) -> Environment:
    """Who works off each lane, as JSON: `{"critical": {"function": …, "maximum_concurrency": …, …}}`."""
    by_lane = {
        name: {
            "function": worker_name(fleet, name),
            "minimum_concurrency": lane.minimum_concurrency,
            "maximum_concurrency": lane.maximum_concurrency,
            "borrow_up_to": lane.borrow_up_to,
            "objective_seconds": lane.objective_seconds,
        }
        for name, lane in fleet.lanes.items()
    }
    return {"FLOTILLA_WORKERS": json.dumps(by_lane), "FLOTILLA_LANE_POOL": str(lane_pool(fleet))}


def scaling(stack: cdk.Stack, fleet: Fleet, mappings: Mapping[str, str]) -> Environment:
    """Between what each lane is scaled, and how fast, as JSON: `{"pool": …, "lanes": {"critical": {…}}, …}`.

    Args:
        stack: The mappings' stack.
        fleet: The settings.
        mappings: By lane, the id of the event source mapping that feeds its worker.
    """
    lanes = {
        name: {
            "function": worker_name(fleet, name),
            "mapping": mappings[name],
            "minimum": lane.minimum_concurrency,
            "share": lane.maximum_concurrency,
            "maximum": lane.borrow_up_to,
            "batch_size": lane.batch_size,
            "objective_seconds": lane.objective_seconds,
            "provisioned": lane.provisioned_concurrency,
        }
        for name, lane in fleet.lanes.items()
    }
    told = {
        "pool": lane_pool(fleet),
        "raise_cooldown_seconds": fleet.scaler.raise_cooldown_seconds,
        "lower_cooldown_seconds": fleet.scaler.lower_cooldown_seconds,
        "settle_seconds": fleet.scaler.settle_seconds,
        "lanes": lanes,
    }
    return {"FLOTILLA_SCALING": stack.to_json_string(told)}


def canaries(fleet: Fleet) -> Environment:
    """When canaries are due, as JSON: `{"period_seconds": …, "patience_seconds": {"critical": …}, "scheduled": …}`.

    One that is not back after a period has failed, unless tasks of its lane may wait longer.
    """
    # Where none are scheduled, whoever invokes the function by hand has them in periods all the same.
    period_seconds = 60 * (fleet.canary.every_minutes or DEFAULT_EVERY_MINUTES)
    plan = {
        "period_seconds": period_seconds,
        "patience_seconds": {name: max(period_seconds, lane.objective_seconds) for name, lane in fleet.lanes.items()},
        "scheduled": fleet.canary.every_minutes > 0,
    }
    return {"FLOTILLA_CANARY": json.dumps(plan)}


def worker_name(fleet: Fleet, lane: str) -> str:
    """The name of the function that works off a lane."""
    return f"{fleet.name}-worker-{lane}"


def compute_prices(fleet: Fleet) -> Environment:
    """What a worker's time and an invocation of it cost, in dollars."""
    return {
        "FLOTILLA_GB_SECOND_USD": _dollars(prices.LAMBDA_GB_SECONDS[fleet.runtime.architecture]),
        "FLOTILLA_INVOCATION_USD": _dollars(prices.LAMBDA_REQUESTS),
    }


def list_prices() -> Environment:
    """What it costs to record tasks and to put them on lanes, as JSON: dollars for one of each."""
    message = prices.SQS_FIFO_REQUESTS * (1 + _CALLS_FOR_TEN / 10)
    return {
        "FLOTILLA_LIST_PRICES": json.dumps(
            {
                "write_unit_usd": float(_dollars(prices.WRITE_UNITS)),
                "message_usd": float(_dollars(message)),
            }
        )
    }


def _dollars(for_a_million: float) -> str:
    return f"{for_a_million / 1_000_000:.12f}"


def session_memory(fleet: Fleet) -> Environment:
    """How long a session's turns are kept."""
    return {"FLOTILLA_SESSION_DAYS": str(fleet.retention.session_days)}


def event_bus(fleet: Fleet) -> Environment:
    """The bus that circuits' changes are told on, where there is one."""
    return {"FLOTILLA_EVENT_BUS": fleet.name} if fleet.broadcast.event_bus else {}


def state_machines(fleet: Fleet) -> Environment:
    """What the ARNs of the workflows' state machines begin with; a workflow's name follows."""
    return {"FLOTILLA_STATE_MACHINES": state_machine_arn(fleet.name, "")}


def decisions(state: StateStack) -> Environment:
    """The name of the secret that links to decisions are signed with."""
    return {"FLOTILLA_DECISIONS_SECRET": state.decisions_name}


def public_url(fleet: Fleet) -> Environment:
    """Where people reach the API, where that is not its own address."""
    return {} if fleet.api.public_url is None else {"FLOTILLA_API_URL": fleet.api.public_url}


def api_url(fleet: Fleet, place: Place, own_url: str) -> Environment:
    """Where people reach the API, for links that are sent to them.

    Args:
        fleet: May say another address than the API's own.
        place: Says whether the address is known as the app is synthesized.
        own_url: The API's own, without a slash at its end.
    """
    return own_address(place, own_url) | public_url(fleet)


def own_address(place: Place, own_url: str) -> Environment:
    """The API's own address, for those who speak to it; as `api_url`."""
    return {"FLOTILLA_API_URL": own_url} if place.knows_addresses else {}


def webhook_deliveries(lanes: LanesStack) -> Environment:
    """The queue of deliveries to clients' endpoints."""
    return {"FLOTILLA_WEBHOOKS_QUEUE_URL": lanes.webhooks.queue_url}


def webhook_dead_letters(lanes: LanesStack) -> Environment:
    """Their dead letter queue."""
    return {"FLOTILLA_WEBHOOKS_DLQ_URL": lanes.webhook_dead_letters.queue_url}


def webhook_targets(fleet: Fleet) -> Environment:
    """Hosts that deliveries may go to though they are private, as a JSON list."""
    return {"FLOTILLA_WEBHOOK_ALLOW": json.dumps(fleet.webhooks.allow)}
