"""What all stacks with functions have in common: the layers, and how a function of the fleet is made and fed."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.background import Batches
from stacks.bundling import Bundles
from stacks.constructs.fleet_function import FleetFunction, FunctionShape
from stacks.constructs.permissions import Permission
from stacks.constructs.runtime_layers import RuntimeLayers
from stacks.environment import Environment
from stacks.settings_model import Fleet


class FunctionsStack(cdk.Stack):
    """A stack of functions.

    Attributes:
        fleet: The settings.
        workflows: Their definitions, by name.
    """

    def __init__(self, scope: Construct, construct_id: str, *, fleet: Fleet, bundles: Bundles, holds: str) -> None:
        super().__init__(scope, construct_id, description=f"{fleet.name}: {holds}")
        self.fleet = fleet
        self.workflows = bundles.workflows
        self._bundles = bundles
        self._layers = RuntimeLayers(self, "Layers", bundles=bundles, fleet=fleet.name)

    def add_function(
        self,
        package: str,
        *,
        timeout_seconds: int,
        memory_mb: int,
        environment: Environment,
        statements: Sequence[Permission],
        reserved_concurrency: int | None = None,
        loops_on_purpose: bool = False,
    ) -> lambda_.Function:
        """A function `<fleet>-<package>`; its name is an output."""
        made = FleetFunction(
            self,
            package.capitalize(),
            shape=FunctionShape(
                name=f"{self.fleet.name}-{package}",
                package=package,
                code=self._bundles.function(package),
                timeout_seconds=timeout_seconds,
                memory_mb=memory_mb,
                reserved_concurrency=reserved_concurrency,
                loops_on_purpose=loops_on_purpose,
            ),
            layers=self._layers,
            logging=self.fleet.logs,
            environment=environment,
            permissions=statements,
        )
        cdk.CfnOutput(self, f"{package.capitalize()}Function", value=made.function.function_name)
        return made.function

    def feed(
        self, function: lambda_.Function, queue: sqs.Queue, *, name: str, batches: Batches, maximum_concurrency: int
    ) -> None:
        """Lets a queue feed `function`.

        What may run at once is bounded here and not by throttling, which would use up receive counts.
        """
        lambda_.EventSourceMapping(
            self,
            name,
            target=function,
            event_source_arn=queue.queue_arn,
            batch_size=batches.batch_size,
            max_concurrency=maximum_concurrency,
            report_batch_item_failures=True,
        )

    def run_every(self, function: lambda_.Function, rate: cdk.Duration, *, name: str, enabled: bool = True) -> None:
        """Runs `function` again and again.

        A run that cannot start, or that fails, is not repeated: the next one comes. A rule that is not enabled is there
        to be.
        """
        function.configure_async_invoke(max_event_age=cdk.Duration.minutes(1), retry_attempts=0)
        events.Rule(
            self,
            name,
            rule_name=f"{function.function_name}",
            schedule=events.Schedule.rate(rate),
            enabled=enabled,
            targets=[targets.LambdaFunction(function, max_event_age=cdk.Duration.minutes(1), retry_attempts=0)],
        )
