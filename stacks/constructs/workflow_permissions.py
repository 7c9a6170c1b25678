"""What is done with the fleet's workflows, and by whom it may be done.

State machines are named by the settings, so their ARNs are known without a reference: a function that starts a workflow
is deployed beside it, and not after or before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import aws_cdk as cdk

from stacks.constructs.permissions import Permission
from stacks.definitions import OBJECTS, Definition

Definitions = Mapping[str, Definition]

_EXECUTIONS = "The executions of these machines: they are named by runs that are yet to come."
_CHILDREN = "The machine and, below its name, what Step Functions makes of each distributed map in it."


def state_machine_name(fleet: str, workflow: str) -> str:
    """The name of the state machine of a workflow."""
    return f"{fleet}-{workflow}"


def state_machine_arn(fleet: str, workflow: str) -> str:
    """Its ARN; that of all machines of the fleet begins as that of the workflow `""`."""
    return _arn("stateMachine", state_machine_name(fleet, workflow))


def start_runs(fleet: str, workflows: Definitions) -> list[Permission]:
    """Start workflows."""
    return _each([state_machine_arn(fleet, name) for name in workflows], ["states:StartExecution"])


def see_runs(fleet: str, workflows: Definitions) -> list[Permission]:
    """See how runs stand."""
    return _each(_executions(fleet, workflows), ["states:DescribeExecution"], _EXECUTIONS)


def stop_runs(fleet: str, workflows: Definitions) -> list[Permission]:
    """Stop runs."""
    return _each(_executions(fleet, workflows), ["states:StopExecution"], _EXECUTIONS)


def see_maps(fleet: str, workflows: Definitions) -> list[Permission]:
    """See how far the distributed maps of runs have got."""
    mapped = _distributed(workflows)
    runs = [f"{_arn('mapRun', state_machine_name(fleet, name))}/*" for name in mapped]
    return [
        *_each(_executions(fleet, workflows), ["states:ListMapRuns"], _EXECUTIONS),
        *_each(runs, ["states:DescribeMapRun"], "The maps' runs of these machines: Step Functions names them."),
    ]


def answer_states(fleet: str, workflows: Definitions) -> list[Permission]:
    """Answer the states that wait for tasks, those in distributed maps too."""
    return _each(_with_children(fleet, workflows), ["states:SendTaskSuccess", "states:SendTaskFailure"], _CHILDREN)


def run_distributed_maps(fleet: str, workflow: str, definition: Definition, bucket_name: str) -> list[Permission]:
    """What AWS asks of the role of a machine that has distributed maps: it starts executions of itself.

    Args:
        fleet: The fleet's name.
        workflow: Of the machine.
        definition: Its definition, which says whether maps read their items from objects or write their results.
        bucket_name: Where these objects lie.
    """
    if not definition.distributed:
        return []
    executions = _arn("execution", state_machine_name(fleet, workflow))
    bucket = f"arn:{cdk.Aws.PARTITION}:s3:::{bucket_name}"
    actions = {
        "s3:GetObject": definition.objects & {"read", "write"},
        **dict.fromkeys(
            ("s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"), definition.objects & {"write"}
        ),
    }
    listing = Permission(["s3:ListBucket"], [bucket], conditions={"StringLike": {"s3:prefix": [f"{OBJECTS}*"]}})
    return [
        Permission(["states:StartExecution"], [state_machine_arn(fleet, workflow)]),
        Permission(
            ["states:DescribeExecution", "states:StopExecution"],
            [f"{executions}:*", f"{executions}/*"],
            wildcard_reason="Its own executions and those of its maps' items: Step Functions names them.",
        ),
        *_each(
            [f"{bucket}/{OBJECTS}*"],
            [action for action, wanted in actions.items() if wanted],
            "The objects of workflows: they are named by runs that are yet to come.",
        ),
        *([listing] if "list" in definition.objects else []),
    ]


def deliver_logs() -> Permission:
    """What AWS asks of the role of a machine that logs: the delivery of logs is a resource of no name."""
    actions = (
        *(f"{verb}LogDelivery" for verb in ("Create", "Get", "Update", "Delete")),
        "ListLogDeliveries",
        "PutResourcePolicy",
        "DescribeResourcePolicies",
        "DescribeLogGroups",
    )
    return Permission(
        [f"logs:{action}" for action in actions],
        ["*"],
        wildcard_reason="Deliveries of logs know no resources: they are allowed on all or on nothing.",
    )


def trace() -> Permission:
    """What AWS asks of the role of a machine that X-Ray traces."""
    actions = ("PutTraceSegments", "PutTelemetryRecords", "GetSamplingRules", "GetSamplingTargets")
    return Permission(
        [f"xray:{action}" for action in actions],
        ["*"],
        wildcard_reason="X-Ray's actions know no resources: they are allowed on all or on nothing.",
    )


def _each(resources: Iterable[str], actions: list[str], wildcard_reason: str = "") -> list[Permission]:
    """A permission, and none where there is nothing to do it to, or nothing to do."""
    named = list(resources)
    return [Permission(actions, named, wildcard_reason)] if named and actions else []


def _executions(fleet: str, workflows: Definitions) -> list[str]:
    return [f"{_arn('execution', state_machine_name(fleet, name))}:*" for name in workflows]


def _with_children(fleet: str, workflows: Definitions) -> list[str]:
    machines = [state_machine_arn(fleet, name) for name in workflows]
    return [*machines, *(f"{state_machine_arn(fleet, name)}/*" for name in _distributed(workflows))]


def _distributed(workflows: Definitions) -> list[str]:
    return [name for name, definition in workflows.items() if definition.distributed]


def _arn(kind: str, name: str) -> str:
    return f"arn:{cdk.Aws.PARTITION}:states:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:{kind}:{name}"
