"""What roles allow is what the code calls: nothing is missing, and nothing is allowed that is not called."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.synthesis import ACCOUNT, REGION, REPOSITORY, Templates

LIBRARY = REPOSITORY / "layers" / "flotilla" / "python"

TABLES = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table"
QUEUES = f"arn:aws:sqs:{REGION}:{ACCOUNT}"
PAYLOADS = f"arn:aws:s3:::flotilla-payloads-{ACCOUNT}-{REGION}/*"
LANES = ("critical", "standard", "batch")


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
        ("xray:PutTraceSegments", "*"),
        ("xray:PutTelemetryRecords", "*"),
    }


@pytest.mark.parametrize("lane", LANES)
def test_a_worker_appends_and_reads_events_keeps_payloads_and_works_off_its_own_lane(
    templates: Templates, lane: str
) -> None:
    name = f"flotilla-worker-{lane}"
    assert allowed(templates, name) - observing(name) == {
        ("dynamodb:PutItem", f"{TABLES}/flotilla-events"),
        ("dynamodb:Query", f"{TABLES}/flotilla-events"),
        ("s3:GetObject", PAYLOADS),
        ("s3:PutObject", PAYLOADS),
        ("sqs:ReceiveMessage", f"{QUEUES}:flotilla-{lane}.fifo"),
        ("sqs:DeleteMessage", f"{QUEUES}:flotilla-{lane}.fifo"),
        ("sqs:GetQueueAttributes", f"{QUEUES}:flotilla-{lane}.fifo"),
        ("sqs:ChangeMessageVisibility", f"{QUEUES}:flotilla-{lane}.fifo"),
        ("sqs:SendMessage", f"{QUEUES}:flotilla-{lane}-dlq.fifo"),
    }


def test_the_api_appends_and_reads_events_keeps_payloads_and_sends_to_every_lane(templates: Templates) -> None:
    queues = {f"{QUEUES}:flotilla-{lane}.fifo" for lane in LANES}
    assert allowed(templates, "flotilla-api") - observing("flotilla-api") == {
        ("dynamodb:PutItem", f"{TABLES}/flotilla-events"),
        ("dynamodb:Query", f"{TABLES}/flotilla-events"),
        ("dynamodb:Query", f"{TABLES}/flotilla-control"),
        ("s3:GetObject", PAYLOADS),
        ("s3:PutObject", PAYLOADS),
        *(("sqs:SendMessage", queue) for queue in queues),
        *(("sqs:GetQueueAttributes", queue) for queue in queues),
    }


def test_the_authorizer_looks_keys_up_and_nothing_else(templates: Templates) -> None:
    assert allowed(templates, "flotilla-authorizer") - observing("flotilla-authorizer") == {
        ("dynamodb:GetItem", f"{TABLES}/flotilla-control")
    }


def test_diagnostic_agents_reach_their_counters_and_no_keys(local_templates: Templates) -> None:
    (counting,) = [
        statement
        for statement in statements(local_templates, "flotilla-worker-standard")
        if f"{TABLES}/flotilla-control" in statement.resources
    ]
    assert counting.actions == {"dynamodb:UpdateItem"}
    assert counting.condition == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["DIAGNOSTICS#*"]}}


def test_no_role_can_change_or_delete_an_event(templates: Templates, local_templates: Templates) -> None:
    writing = {"dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:*", "*"}
    for each in (templates, local_templates):
        for function in each.resources("AWS::Lambda::Function"):
            for action, resource in allowed(each, function.properties["FunctionName"]):
                assert not (action in writing and resource in ("*", f"{TABLES}/flotilla-events"))


def test_no_action_is_a_wildcard_and_each_resource_with_one_is_known(templates: Templates) -> None:
    for function in templates.resources("AWS::Lambda::Function"):
        name = function.properties["FunctionName"]
        for action, resource in allowed(templates, name):
            assert "*" not in action
            assert "*" not in resource or resource == PAYLOADS or (action, resource) in observing(name)


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
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {function.attr for function in calls if isinstance(function, ast.Attribute)}


_ACTIONS = {
    "put_item": "dynamodb:PutItem",
    "get_item": "dynamodb:GetItem",
    "query": "dynamodb:Query",
    "update_item": "dynamodb:UpdateItem",
    "delete_item": "dynamodb:DeleteItem",
    "batch_write_item": "dynamodb:BatchWriteItem",
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
}
"""Client methods, and what a role must allow for them."""

_POLLER = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
"""What Lambda's own poller does with a worker's role."""


@pytest.mark.parametrize(
    ("package", "function_name", "by_aws"),
    [
        ("worker", "flotilla-worker-standard", _POLLER),
        ("api", "flotilla-api", set()),
        ("authorizer", "flotilla-authorizer", set()),
    ],
)
def test_a_role_allows_what_its_code_calls_and_no_more(
    templates: Templates, package: str, function_name: str, by_aws: set[str]
) -> None:
    called = {
        _ACTIONS[method]
        for module, name in _imported(REPOSITORY / "functions" / package)
        for method in _calls(module, name)
        if method in _ACTIONS
    }
    granted = {action for action, _ in allowed(templates, function_name) - observing(function_name)}
    assert called | by_aws == granted
