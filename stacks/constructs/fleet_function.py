"""A Lambda function of the fleet, with a role of its own that allows what it is given and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.constructs.acknowledgements import acknowledge, acknowledge_wildcards
from stacks.constructs.log_group import log_group
from stacks.constructs.permissions import Permission, observing
from stacks.constructs.runtime_layers import RuntimeLayers
from stacks.settings_model import Logs

_APPLICATION_LEVELS = {
    "DEBUG": lambda_.ApplicationLogLevel.DEBUG,
    "INFO": lambda_.ApplicationLogLevel.INFO,
    "WARNING": lambda_.ApplicationLogLevel.WARN,
    "ERROR": lambda_.ApplicationLogLevel.ERROR,
}


@dataclass(frozen=True)
class FunctionShape:
    """What one function is.

    Attributes:
        name: Its full name.
        package: Which of `functions/` it is.
        code: Its built package.
        timeout_seconds: Longest invocation.
        memory_mb: Memory, and with it its share of processors.
        reserved_concurrency: Environments set aside for it, and the most it can have; None shares the account's.
        loops_on_purpose: It sends work back to where it came from, bounds the rounds itself, and must not be cut off
            by Lambda's recursive loop detection (ADR 0009).
    """

    name: str
    package: str
    code: Path
    timeout_seconds: int
    memory_mb: int
    reserved_concurrency: int | None = None
    loops_on_purpose: bool = False


class FleetFunction(Construct):
    """A function, its log group and its role.

    The role is written out here and closed: no construct that meets the function later can add to it unseen.

    Attributes:
        function: The function.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        shape: FunctionShape,
        layers: RuntimeLayers,
        logging: Logs,
        environment: Mapping[str, str],
        permissions: Sequence[Permission],
    ) -> None:
        super().__init__(scope, construct_id)
        group = log_group(self, "Logs", name=f"/aws/lambda/{shape.name}", retention_days=logging.retention_days)
        observe = observing(f"/aws/lambda/{shape.name}", tracing=logging.tracing)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {shape.name} may do",
            inline_policies={
                "work": iam.PolicyDocument(statements=[each.statement() for each in permissions]),
                "observe": iam.PolicyDocument(statements=[each.statement() for each in observe]),
            },
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=shape.name,
            handler=f"functions.{shape.package}.handler.handler",
            code=lambda_.Code.from_asset(str(shape.code)),
            runtime=layers.runtime,
            architecture=layers.architecture,
            layers=layers.layers,
            role=role.without_policy_updates(),
            timeout=cdk.Duration.seconds(shape.timeout_seconds),
            memory_size=shape.memory_mb,
            reserved_concurrent_executions=shape.reserved_concurrency,
            recursive_loop=lambda_.RecursiveLoop.ALLOW if shape.loops_on_purpose else None,
            tracing=lambda_.Tracing.ACTIVE if logging.tracing else None,
            log_group=group,
            # As JSON, so that Lambda's own lines have a level: those that begin, end and report every invocation are
            # below it. They would cost more than what they tell of.
            logging_format=lambda_.LoggingFormat.JSON,
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
            # What the function would not write of itself, Lambda need not drop.
            application_log_level_v2=_APPLICATION_LEVELS["DEBUG" if logging.debug_share else logging.level],
            environment={
                **environment,
                **({"FLOTILLA_DEBUG_SHARE": str(logging.debug_share)} if logging.debug_share else {}),
                "POWERTOOLS_SERVICE_NAME": shape.package,
                "POWERTOOLS_LOG_LEVEL": logging.level,
            },
        )
        # Its policies are part of the role, so referring to the role is dependency enough.
        resource = self.function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)
        resource.add_deletion_override("DependsOn")
        acknowledge_wildcards(role, [*permissions, *observe])
        acknowledge(
            self.function,
            {
                "AwsSolutions-L1": "The runtime is the Python that synthesizes, so that compiled modules can ship; any "
                "version Flotilla is tested with may be chosen in fleet.toml.",
            },
        )
