"""A workflow's state machine, with a role that allows what its definition asks for and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs import permissions, workflow_permissions
from stacks.constructs.acknowledgements import acknowledge, acknowledge_wildcards
from stacks.constructs.fifo_lane import FifoLane
from stacks.constructs.log_group import log_group
from stacks.definitions import Definition
from stacks.settings_model import Fleet


class WorkflowMachine(Construct):
    """A STANDARD state machine `<fleet>-<workflow>`, its log group and its role.

    The definition is the file, word for word: what differs between deployments are its substitutions.

    Attributes:
        machine: The state machine.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        fleet: Fleet,
        definition: Definition,
        lanes: Mapping[str, FifoLane],
        bucket_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        name = workflow_permissions.state_machine_name(fleet.name, definition.name)
        # The prefix keeps Step Functions from listing every such group in a policy of limited size.
        group = log_group(self, "Logs", name=f"/aws/vendedlogs/states/{name}", retention_days=fleet.logs.retention_days)
        used = [lanes[lane].queue for lane in definition.lanes(fleet.default_lane)]
        allowed = [
            *([permissions.send(used)] if used else []),
            *workflow_permissions.run_distributed_maps(fleet.name, definition.name, definition, bucket_name),
            workflow_permissions.deliver_logs(),
            *([workflow_permissions.trace()] if fleet.logs.tracing else []),
        ]
        role = iam.Role(
            self,
            "Role",
            # Only for the fleet's own machines: no other can borrow the role.
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID},
                    "ArnLike": {"aws:SourceArn": f"{workflow_permissions.state_machine_arn(fleet.name, '')}*"},
                },
            ),
            description=f"What {name} may do",
            inline_policies={"work": iam.PolicyDocument(statements=[each.statement() for each in allowed])},
        )
        urls = {f"lane_{lane}": queues.queue.queue_url for lane, queues in lanes.items()}
        known = {
            **urls,
            "default_lane": urls[f"lane_{fleet.default_lane}"],
            "fleet": fleet.name,
            "workflows_bucket": bucket_name,
        }
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            state_machine_type=sfn.StateMachineType.STANDARD,
            definition_body=sfn.DefinitionBody.from_string(definition.text),
            definition_substitutions={key: known[key] for key in definition.substitutions},
            role=role.without_policy_updates(),
            # Without what states are given and answer: that is tasks' input and output, which the event log keeps.
            logs=sfn.LogOptions(destination=group, level=sfn.LogLevel.ALL, include_execution_data=False),
            tracing_enabled=fleet.logs.tracing,
        )
        # The role's policies are part of it, so referring to it is dependency enough.
        resource = self.machine.node.default_child
        assert isinstance(resource, sfn.CfnStateMachine)
        resource.add_deletion_override("DependsOn")
        acknowledge_wildcards(role, allowed)
        if not fleet.logs.tracing:
            acknowledge(
                self.machine,
                {"AwsSolutions-SF2": "X-Ray traces what logs.tracing of fleet.toml says; each trace costs."},
            )
