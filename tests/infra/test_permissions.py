"""What roles allow is what the code calls: nothing is missing, and nothing is allowed that is not called."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from flotilla.models import payload_key
from tests.synthesis import ACCOUNT, REGION, REPOSITORY, Templates

LIBRARY = REPOSITORY / "layers" / "flotilla" / "python"

TABLES = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table"
EVENTS, CONTROL, VIEWS = (f"{TABLES}/flotilla-{name}" for name in ("events", "control", "views"))
STREAM = f"{EVENTS}/stream/newest"
QUEUES = f"arn:aws:sqs:{REGION}:{ACCOUNT}"
PAYLOADS = f"arn:aws:s3:::flotilla-payloads-{ACCOUNT}-{REGION}/*"
PAYLOAD_LISTING = ("s3:ListBucket", PAYLOADS.removesuffix("/*"))
ARCHIVE = f"arn:aws:s3:::flotilla-archive-{ACCOUNT}-{REGION}/*"
ARCHIVE_LISTING = ("s3:ListBucket", ARCHIVE.removesuffix("/*"))
USAGE = f"{ARCHIVE.removesuffix('*')}usage/*"
SCHEDULES = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/flotilla/*"
LANES = ("critical", "standard", "batch")

LANE_QUEUES = {f"{QUEUES}:flotilla-{lane}.fifo" for lane in LANES}
LANE_DLQS = {f"{QUEUES}:flotilla-{lane}-dlq.fifo" for lane in LANES}
TIERS = {f"{QUEUES}:flotilla-delay-{seconds}.fifo" for seconds in (1, 15, 120, 480, 900)}
DELAYS_DLQ = f"{QUEUES}:flotilla-delays-dlq.fifo"
WEBHOOKS = f"{QUEUES}:flotilla-webhooks"
STATES = f"arn:aws:states:{REGION}:{ACCOUNT}"
DECISIONS = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:flotilla/decisions-??????"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/flotilla"


WORKFLOWS = ("document-analysis", "approval", "agent-loop", "saga")
MACHINES = {f"{STATES}:stateMachine:flotilla-{name}" for name in WORKFLOWS}
EXECUTIONS = {f"{STATES}:execution:flotilla-{name}:*" for name in WORKFLOWS}
CHILDREN = f"{STATES}:stateMachine:flotilla-document-analysis/*"
MAP_RUNS = f"{STATES}:mapRun:flotilla-document-analysis/*"


@dataclass(frozen=True)
class Statement:
    actions: frozenset[str]
    resources: frozenset[str]
    condition: Any


def _as_set(value: Any) -> frozenset[str]:
    return frozenset([value] if isinstance(value, str) else value)


def statements(templates: Templates, function_name: str) -> Iterator[Statement]:
    function = templates.one("AWS::Lambda::Function", FunctionName=function_name)
    role_id = function.body["Properties"]["Role"]["Fn::GetAtt"][0]
    (role,) = [
        role
        for role in templates.resources("AWS::IAM::Role")
        if (role.stack, role.logical_id) == (function.stack, role_id)
    ]
    assert "ManagedPolicyArns" not in role.properties
    for policy in role.properties["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            yield Statement(_as_set(statement["Action"]), _as_set(statement["Resource"]), statement.get("Condition"))


def allowed(templates: Templates, function_name: str) -> set[tuple[str, str]]:
    return {
        (action, resource)
        for statement in statements(templates, function_name)
        for action in statement.actions
        for resource in statement.resources
    }


def observing(function_name: str) -> set[tuple[str, str]]:
    streams = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/{function_name}:log-stream:*"
    return {
        ("logs:CreateLogStream", streams),
        ("logs:PutLogEvents", streams),
    }


def sending(*queues: str) -> set[tuple[str, str]]:
    return {("sqs:SendMessage", queue) for queue in queues}


def working_off(*queues: str) -> set[tuple[str, str]]:
    actions = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility")
    return {(f"sqs:{action}", queue) for queue in queues for action in actions}


def scheduling(templates: Templates) -> set[tuple[str, str]]:
    return {
        ("scheduler:CreateSchedule", SCHEDULES),
        ("scheduler:DeleteSchedule", SCHEDULES),
        ("iam:PassRole", templates.schedule_role.arn),
    }


def on(resources: Iterable[str], *actions: str) -> set[tuple[str, str]]:
    return {(action, resource) for action in actions for resource in resources}


def answering_states() -> set[tuple[str, str]]:
    return on({*MACHINES, CHILDREN}, "states:SendTaskSuccess", "states:SendTaskFailure")


def following(given_up: str) -> set[tuple[str, str]]:
    actions = ("DescribeStream", "GetRecords", "GetShardIterator")
    return {*((f"dynamodb:{action}", STREAM) for action in actions), ("dynamodb:ListStreams", "*"), *sending(given_up)}


def granted(templates: Templates, function_name: str) -> set[tuple[str, str]]:
    return allowed(templates, function_name) - observing(function_name)


def partitions(templates: Templates, function_name: str, table: str) -> set[tuple[str, str]]:
    """What may be done in which partitions; `*` where the role does not say."""
    found = set()
    for statement in statements(templates, function_name):
        if table in statement.resources:
            condition = (statement.condition or {}).get("ForAllValues:StringLike", {})
            keys = condition.get("dynamodb:LeadingKeys", ["*"])
            found |= {(action.removeprefix("dynamodb:"), key) for action in statement.actions for key in _as_set(keys)}
    return found


@pytest.mark.parametrize("lane", LANES)
def test_a_worker_appends_and_reads_events_keeps_payloads_and_works_off_its_own_lane(
    templates: Templates, lane: str
) -> None:
    name = f"flotilla-worker-{lane}"
    own = f"{QUEUES}:flotilla-{lane}.fifo"
    assert granted(templates, name) == {
        ("dynamodb:PutItem", EVENTS),
        ("dynamodb:Query", EVENTS),
        *((f"dynamodb:{action}", CONTROL) for action in ("Query", "GetItem", "PutItem", "UpdateItem", "DeleteItem")),
        ("s3:GetObject", PAYLOADS),
        ("s3:PutObject", PAYLOADS),
        PAYLOAD_LISTING,
        *working_off(own),
        *sending(*LANE_QUEUES, f"{QUEUES}:flotilla-{lane}-dlq.fifo", *TIERS),
        ("events:PutEvents", BUS),
        *answering_states(),
    }


def test_a_worker_reads_pauses_writes_sessions_and_leads_flights_and_sees_no_keys_of_clients(
    templates: Templates,
) -> None:
    assert partitions(templates, "flotilla-worker-standard", CONTROL) == {
        ("Query", "PAUSE"),
        ("Query", "SESSION#*"),
        ("PutItem", "SESSION#*"),
        ("PutItem", "CACHE#*"),
        *((action, "CIRCUIT#*") for action in ("Query", "GetItem", "UpdateItem", "PutItem", "DeleteItem")),
        ("PutItem", "CIRCUITS"),
        ("Query", "LIMITS"),
        *((action, "BUCKET#*") for action in ("GetItem", "UpdateItem")),
        ("UpdateItem", "BUDGET#*"),
        *((action, "SLOTS#*") for action in ("Query", "PutItem", "DeleteItem")),
    }


def test_the_api_appends_and_reads_and_dispatches_and_runs_nothing(templates: Templates) -> None:
    assert granted(templates, "flotilla-api") == {
        ("dynamodb:PutItem", EVENTS),
        ("dynamodb:Query", EVENTS),
        ("dynamodb:Query", VIEWS),
        ("dynamodb:Query", f"{VIEWS}/index/attention"),
        ("dynamodb:Query", f"{VIEWS}/index/dead"),
        ("dynamodb:Query", f"{VIEWS}/index/run"),
        *((f"dynamodb:{action}", CONTROL) for action in ("Query", "GetItem", "PutItem", "UpdateItem", "DeleteItem")),
        ("s3:GetObject", PAYLOADS),
        ("s3:PutObject", PAYLOADS),
        PAYLOAD_LISTING,
        ("s3:GetObject", ARCHIVE),
        ARCHIVE_LISTING,
        *sending(*LANE_QUEUES, *TIERS),
        *(("sqs:GetQueueAttributes", queue) for queue in (*LANE_QUEUES, *LANE_DLQS, *TIERS)),
        ("cloudwatch:GetMetricData", "*"),
        ("events:PutEvents", BUS),
        ("secretsmanager:GetSecretValue", DECISIONS),
        *on(MACHINES, "states:StartExecution"),
        *on(EXECUTIONS, "states:DescribeExecution", "states:ListMapRuns"),
        ("states:DescribeMapRun", MAP_RUNS),
        *scheduling(templates),
    }


def test_the_api_changes_what_operators_may_change_and_reaches_no_keys_of_clients(templates: Templates) -> None:
    changing = ("GetItem", "PutItem", "UpdateItem", "DeleteItem")
    assert partitions(templates, "flotilla-api", CONTROL) == {
        *((action, key) for action in ("Query", *changing) for key in ("PAUSE", "WEBHOOKS#*")),
        ("Query", "readiness-probe"),
        # Circuits are shown and forced; what is counted of them is the workers' to write.
        *((action, "CIRCUIT#*") for action in ("Query", "GetItem", "PutItem")),
        *((action, "CIRCUITS") for action in ("Query", "PutItem")),
        *((action, "LIMITS") for action in ("Query", "PutItem", "DeleteItem")),
        # Submits draw from buckets.
        *((action, "BUCKET#*") for action in ("GetItem", "UpdateItem")),
        # What the scaler gave lanes is shown.
        ("GetItem", "SCALER"),
    }


def test_the_authorizer_looks_keys_up_and_nothing_else(templates: Templates) -> None:
    assert granted(templates, "flotilla-authorizer") == {("dynamodb:GetItem", CONTROL)}


def test_the_relay_moves_messages_and_reaches_no_table(templates: Templates) -> None:
    expected = {*working_off(*TIERS), *sending(*TIERS, *LANE_QUEUES, DELAYS_DLQ)}
    assert granted(templates, "flotilla-relay") == expected


def test_the_triage_works_off_dead_letters_records_them_and_dispatches(templates: Templates) -> None:
    assert granted(templates, "flotilla-triage") == {
        *working_off(*LANE_DLQS, DELAYS_DLQ),
        ("dynamodb:PutItem", EVENTS),
        ("dynamodb:Query", EVENTS),
        ("dynamodb:PutItem", VIEWS),
        ("s3:GetObject", PAYLOADS),
        ("s3:PutObject", PAYLOADS),
        PAYLOAD_LISTING,
        *answering_states(),
        *sending(*TIERS, *LANE_QUEUES),
        *scheduling(templates),
    }


def test_the_reconciler_dispatches_and_ends_what_runs_left(templates: Templates) -> None:
    assert granted(templates, "flotilla-reconciler") == {
        ("dynamodb:Query", EVENTS),
        ("dynamodb:PutItem", EVENTS),
        *((f"dynamodb:{action}", CONTROL) for action in ("PutItem", "Query", "GetItem")),
        ("s3:GetObject", PAYLOADS),
        ("s3:PutObject", PAYLOADS),
        PAYLOAD_LISTING,
        *on(MACHINES, "states:StartExecution"),
        *on(EXECUTIONS, "states:DescribeExecution", "states:StopExecution"),
        ("dynamodb:Query", VIEWS),
        ("dynamodb:Query", f"{VIEWS}/index/watch"),
        ("dynamodb:Query", f"{VIEWS}/index/run"),
        ("dynamodb:UpdateItem", VIEWS),
        ("dynamodb:PutItem", VIEWS),
        *(("sqs:GetQueueAttributes", queue) for queue in LANE_QUEUES),
        *sending(*TIERS, *LANE_QUEUES),
        *scheduling(templates),
    }
    assert partitions(templates, "flotilla-reconciler", CONTROL) == {
        ("PutItem", "PAUSE"),
        ("Query", "CIRCUITS"),
        ("GetItem", "CIRCUIT#*"),
    }


def test_the_recorder_records_how_executions_end(templates: Templates) -> None:
    assert granted(templates, "flotilla-recorder") == {
        ("dynamodb:PutItem", EVENTS),
        ("dynamodb:Query", EVENTS),
        ("s3:PutObject", PAYLOADS),
        *on(EXECUTIONS, "states:DescribeExecution"),
        *sending(f"{QUEUES}:flotilla-recorder-failures"),
    }


def test_the_projector_reads_the_log_and_writes_the_read_model_and_the_archive(templates: Templates) -> None:
    assert granted(templates, "flotilla-projector") == {
        ("dynamodb:Query", EVENTS),
        ("dynamodb:PutItem", VIEWS),
        ("s3:PutObject", ARCHIVE),
        *following(f"{QUEUES}:flotilla-projector-failures"),
    }


def test_the_keeper_archives_and_prolongs(templates: Templates) -> None:
    assert granted(templates, "flotilla-keeper") == {
        ("dynamodb:Query", EVENTS),
        ("dynamodb:UpdateItem", EVENTS),
        ("dynamodb:Query", VIEWS),
        ("dynamodb:PutItem", VIEWS),
        ("dynamodb:DeleteItem", VIEWS),
        ("s3:PutObject", ARCHIVE),
    }
    assert ("DeleteItem", "KEEPER") in partitions(templates, "flotilla-keeper", VIEWS)
    assert ("DeleteItem", "*") not in partitions(templates, "flotilla-keeper", VIEWS)


def test_the_rollup_reads_the_archive_and_writes_nothing_but_what_it_added_up(templates: Templates) -> None:
    name = "flotilla-rollup"
    assert granted(templates, name) == {("s3:GetObject", ARCHIVE), ARCHIVE_LISTING, ("s3:PutObject", USAGE)}
    for function in (name, "flotilla-api"):
        conditions = [
            each.condition for each in statements(templates, function) if ARCHIVE_LISTING[1] in each.resources
        ]
        assert conditions == [{"StringEquals": {"s3:prefix": ["archive/", "usage/"]}}]


def test_the_broadcaster_tells_whoever_asked_and_ends_what_runs_left(templates: Templates) -> None:
    assert granted(templates, "flotilla-broadcaster") == {
        ("dynamodb:Query", EVENTS),
        ("dynamodb:PutItem", EVENTS),
        ("dynamodb:Query", VIEWS),
        ("dynamodb:Query", f"{VIEWS}/index/run"),
        ("dynamodb:Query", CONTROL),
        ("dynamodb:PutItem", CONTROL),
        ("secretsmanager:GetSecretValue", DECISIONS),
        *answering_states(),
        *on(EXECUTIONS, "states:DescribeExecution", "states:StopExecution"),
        ("s3:GetObject", PAYLOADS),
        PAYLOAD_LISTING,
        ("events:PutEvents", BUS),
        ("sns:Publish", f"arn:aws:sns:{REGION}:{ACCOUNT}:flotilla-transitions"),
        *sending(WEBHOOKS),
        *following(f"{QUEUES}:flotilla-broadcaster-failures"),
    }
    assert partitions(templates, "flotilla-broadcaster", CONTROL) == {("Query", "WEBHOOKS#*"), ("PutItem", "PAUSE")}


def test_the_webhook_function_knows_endpoints_and_no_tasks(templates: Templates) -> None:
    assert granted(templates, "flotilla-webhook") == {
        ("dynamodb:GetItem", CONTROL),
        ("dynamodb:UpdateItem", CONTROL),
        *working_off(WEBHOOKS),
        *sending(f"{WEBHOOKS}-dlq"),
    }
    expected = {("GetItem", "WEBHOOKS#*"), ("UpdateItem", "WEBHOOKS#*")}
    assert partitions(templates, "flotilla-webhook", CONTROL) == expected


def test_the_scaler_changes_what_may_run_of_workers_and_nothing_else(templates: Templates) -> None:
    workers = {f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:flotilla-worker-{lane}" for lane in LANES}
    mappings = {
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:{mapping.reference}"
        for mapping in templates.resources("AWS::Lambda::EventSourceMapping")
        if mapping.properties["FunctionName"].startswith("flotilla-worker-")
    }
    assert len(mappings) == len(LANES)
    assert granted(templates, "flotilla-scaler") == {
        *on(workers, "lambda:GetFunctionConcurrency", "lambda:PutFunctionConcurrency"),
        *on(mappings, "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"),
        *on(LANE_QUEUES, "sqs:GetQueueAttributes"),
        *on({CONTROL}, "dynamodb:Query", "dynamodb:GetItem", "dynamodb:PutItem"),
        ("cloudwatch:GetMetricData", "*"),
    }
    assert partitions(templates, "flotilla-scaler", CONTROL) == {
        ("Query", "PAUSE"),
        ("GetItem", "SCALER"),
        ("PutItem", "SCALER"),
    }


def test_the_canary_submits_and_looks_and_answers_nothing(templates: Templates) -> None:
    assert granted(templates, "flotilla-canary") == {
        ("dynamodb:PutItem", EVENTS),
        ("dynamodb:Query", EVENTS),
        ("dynamodb:Query", CONTROL),
        *sending(*LANE_QUEUES),
    }
    assert partitions(templates, "flotilla-canary", CONTROL) == {("Query", "PAUSE")}


def test_diagnostic_agents_reach_their_counters_and_no_keys(local_templates: Templates, templates: Templates) -> None:
    name = "flotilla-worker-standard"
    more = partitions(local_templates, name, CONTROL) - partitions(templates, name, CONTROL)
    assert more == {("UpdateItem", "DIAGNOSTICS#*")}


def test_no_role_can_delete_an_event_and_one_can_change_when_it_expires_and_nothing_else(
    templates: Templates, local_templates: Templates
) -> None:
    deleting = {"dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:*", "*"}
    for each in (templates, local_templates):
        for function in each.resources("AWS::Lambda::Function"):
            name = function.properties["FunctionName"]
            for statement in statements(each, name):
                if not statement.resources & {EVENTS, "*"}:
                    continue
                assert not statement.actions & deleting
                if "dynamodb:UpdateItem" in statement.actions:
                    assert name == "flotilla-keeper"
                    assert statement.actions == {"dynamodb:UpdateItem"}
                    attributes = statement.condition["ForAllValues:StringEquals"]["dynamodb:Attributes"]
                    assert attributes == ["task_id", "seq", "expires_at"]


def test_a_role_is_passed_to_the_scheduler_only(templates: Templates) -> None:
    for name in ("flotilla-api", "flotilla-triage", "flotilla-reconciler"):
        (passing,) = [each for each in statements(templates, name) if "iam:PassRole" in each.actions]
        assert passing.condition == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}


@pytest.mark.parametrize(
    "function", ["flotilla-api", "flotilla-broadcaster", *(f"flotilla-worker-{it}" for it in LANES)]
)
def test_who_lists_payloads_must_know_the_whole_name_of_one(templates: Templates, function: str) -> None:
    bucket = PAYLOAD_LISTING[1]
    found = [each for each in statements(templates, function) if bucket in each.resources]
    listing, *others = [each for each in found if "s3:ListBucket" in each.actions]
    assert listing.actions == {"s3:ListBucket"}
    assert listing.condition == {"StringLike": {"s3:prefix": "tenants/*/tasks/*/*.json"}}
    for files in others:
        assert function.startswith("flotilla-worker-")
        assert files.condition == {"StringLike": {"s3:prefix": ["workflows/*", "tenants/*/tasks/*/files/*"]}}
    assert fnmatchcase(payload_key("acme", "tsk_1", "ab" * 32), "tenants/*/tasks/*/*.json")
    assert not fnmatchcase("tenants/acme/tasks/tsk_1/", "tenants/*/tasks/*/*.json")


_KNOWING_NO_RESOURCES = {("dynamodb:ListStreams", "*"), ("cloudwatch:GetMetricData", "*")}


def test_no_action_is_a_wildcard_and_each_resource_with_one_is_known(templates: Templates) -> None:
    known = {PAYLOADS, ARCHIVE, USAGE, SCHEDULES, CHILDREN, MAP_RUNS, *EXECUTIONS}
    for function in templates.resources("AWS::Lambda::Function"):
        name = function.properties["FunctionName"]
        for action, resource in granted(templates, name) - _KNOWING_NO_RESOURCES:
            assert "*" not in action
            assert "*" not in resource or resource in known


def _imported(package: Path) -> set[tuple[str, str]]:
    """What the modules of a function's package import from the library's AWS adapters, as (module, name)."""
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("flotilla."):
                found |= {(node.module, alias.name) for alias in node.names}
    return found


def _calls(module: str, name: str) -> set[str]:
    """The methods called by a class or function of the library, or by all of a module that was imported whole."""
    whole = LIBRARY.joinpath(*module.split("."), f"{name}.py")
    part_of = LIBRARY.joinpath(*module.split(".")).with_suffix(".py")
    if whole.exists():
        return _methods(ast.parse(whole.read_text(encoding="utf-8")))
    if not part_of.exists():
        return set()
    body = ast.parse(part_of.read_text(encoding="utf-8")).body
    return {
        method
        for definition in body
        if isinstance(definition, ast.ClassDef | ast.FunctionDef) and definition.name == name
        for method in _methods(definition)
    }


def _methods(tree: ast.AST) -> set[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    # What is called here, and what is given to be called elsewhere.
    named = [*(call.func for call in calls), *(argument for call in calls for argument in call.args)]
    return {function.attr for function in named if isinstance(function, ast.Attribute)}


_ACTIONS = {
    "put_item": "dynamodb:PutItem",
    "get_item": "dynamodb:GetItem",
    "query": "dynamodb:Query",
    "update_item": "dynamodb:UpdateItem",
    "delete_item": "dynamodb:DeleteItem",
    "batch_write_item": "dynamodb:BatchWriteItem",
    "scan": "dynamodb:Scan",
    "put_object": "s3:PutObject",
    "get_object": "s3:GetObject",
    "generate_presigned_url": "s3:GetObject",
    "delete_object": "s3:DeleteObject",
    "list_objects_v2": "s3:ListBucket",
    "send_message": "sqs:SendMessage",
    "send_message_batch": "sqs:SendMessage",
    "delete_message": "sqs:DeleteMessage",
    "delete_message_batch": "sqs:DeleteMessage",
    "change_message_visibility": "sqs:ChangeMessageVisibility",
    "change_message_visibility_batch": "sqs:ChangeMessageVisibility",
    "get_queue_attributes": "sqs:GetQueueAttributes",
    "create_schedule": "scheduler:CreateSchedule",
    "delete_schedule": "scheduler:DeleteSchedule",
    "put_events": "events:PutEvents",
    "publish": "sns:Publish",
    "publish_batch": "sns:Publish",
    "get_function_concurrency": "lambda:GetFunctionConcurrency",
    "put_function_concurrency": "lambda:PutFunctionConcurrency",
    "get_event_source_mapping": "lambda:GetEventSourceMapping",
    "update_event_source_mapping": "lambda:UpdateEventSourceMapping",
    "get_metric_data": "cloudwatch:GetMetricData",
    "get_secret_value": "secretsmanager:GetSecretValue",
    "converse": "bedrock:InvokeModel",
    "start_execution": "states:StartExecution",
    "stop_execution": "states:StopExecution",
    "describe_execution": "states:DescribeExecution",
    "list_map_runs": "states:ListMapRuns",
    "describe_map_run": "states:DescribeMapRun",
    "send_task_success": "states:SendTaskSuccess",
    "send_task_failure": "states:SendTaskFailure",
}
"""Client methods, and what a role must allow for them."""

_QUEUE_POLLER = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
_STREAM_POLLER = {
    *(f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")),
    "sqs:SendMessage",  # tells of what it gave up
}
_PASSED = {"iam:PassRole"}
"""What a schedule takes besides making it."""


_SEEING_MAPS = {"states:ListMapRuns", "states:DescribeMapRun"}


@dataclass(frozen=True)
class Caller:
    """What is not seen in a function's code.

    Attributes:
        by_aws: What is done with the role by AWS itself.
        unasked: What an adapter could do for it, and it never asks for.
    """

    function_name: str
    by_aws: frozenset[str] | set[str] = frozenset()
    unasked: frozenset[str] | set[str] = frozenset()


CALLERS = {
    # It asks for secrets where an integration or a model has one, and for models where there are any. It tells a bus of
    # circuits, by a method of the name that SNS's has.
    "worker": Caller(
        "flotilla-worker-standard",
        by_aws=_QUEUE_POLLER,
        unasked={"secretsmanager:GetSecretValue", "bedrock:InvokeModel", "sns:Publish"},
    ),
    # It tells the bus of circuits as the worker does. Runs that are cancelled are stopped behind it.
    "api": Caller("flotilla-api", by_aws=_PASSED, unasked={"sns:Publish", "states:StopExecution"}),
    "authorizer": Caller("flotilla-authorizer"),
    "relay": Caller("flotilla-relay", by_aws=_QUEUE_POLLER),
    "triage": Caller("flotilla-triage", by_aws=_QUEUE_POLLER | _PASSED),
    # What it pauses of a run stays so.
    "reconciler": Caller("flotilla-reconciler", by_aws=_PASSED, unasked={"dynamodb:DeleteItem", *_SEEING_MAPS}),
    # It only looks at executions; what was given up is told by Lambda.
    "recorder": Caller(
        "flotilla-recorder",
        by_aws={"sqs:SendMessage"},
        unasked={
            *("states:StartExecution", "states:StopExecution", *_SEEING_MAPS),
            *("s3:GetObject", "s3:ListBucket"),
        },
    ),
    # It appends nothing and opens no archive; its own notes it only adds to.
    "projector": Caller("flotilla-projector", by_aws=_STREAM_POLLER, unasked={"dynamodb:DeleteItem", "s3:GetObject"}),
    "keeper": Caller("flotilla-keeper", unasked={"s3:GetObject"}),
    # It changes no endpoint and stores no payload, and starts no run.
    "broadcaster": Caller(
        "flotilla-broadcaster",
        by_aws=_STREAM_POLLER,
        unasked={
            *(f"dynamodb:{action}Item" for action in ("Get", "Update", "Delete")),
            *("s3:PutObject", "states:StartExecution", *_SEEING_MAPS),
        },
    ),
    "rollup": Caller("flotilla-rollup"),
    # It only reads what is paused.
    "canary": Caller("flotilla-canary", unasked={"dynamodb:DeleteItem"}),
    # What is paused it only reads.
    "scaler": Caller("flotilla-scaler", unasked={"dynamodb:DeleteItem"}),
    # It looks one endpoint up and changes its state.
    "webhook": Caller(
        "flotilla-webhook",
        by_aws=_QUEUE_POLLER,
        unasked={"dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query"},
    ),
}


def test_every_function_is_compared() -> None:
    packages = {handler.parent.name for handler in (REPOSITORY / "functions").glob("*/handler.py")}
    assert set(CALLERS) == packages


@pytest.mark.parametrize("package", CALLERS)
def test_a_role_allows_what_its_code_calls_and_no_more(templates: Templates, package: str) -> None:
    caller = CALLERS[package]
    called = {
        _ACTIONS[method]
        for module, name in _imported(REPOSITORY / "functions" / package)
        for method in _calls(module, name)
        if method in _ACTIONS
    }
    assert caller.unasked <= called
    actions = {action for action, _ in granted(templates, caller.function_name)}
    assert (called - caller.unasked) | caller.by_aws == actions
