"""Workflows: a state machine for each, and the function that records in the event log how their executions end."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_lambda_destinations import SqsDestination
from constructs import Construct

from stacks import environment
from stacks.bundling import Bundles
from stacks.constructs import permissions, workflow_permissions
from stacks.constructs.acknowledgements import acknowledge
from stacks.constructs.queues import standard_queue
from stacks.constructs.workflow_machine import WorkflowMachine
from stacks.functions_stack import FunctionsStack
from stacks.lanes_stack import LanesStack
from stacks.settings_model import Fleet
from stacks.state_stack import StateStack

_RECORDER_TIMEOUT_SECONDS = 60

_LONGEST_TROUBLE_HOURS = 6
"""How old the news of an execution's end may become before it is given up: as old as Lambda lets it."""

_ENDS = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


class WorkflowsStack(FunctionsStack):
    """The state machines and the recorder.

    Step Functions tells of an execution's end on the account's default bus; a rule hands this to the recorder. What is
    given up is kept in a queue of this stack, as the queue's policy names the rule; the reconciler, which looks at runs
    that show no end, records it all the same.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        fleet: Fleet,
        bundles: Bundles,
        state: StateStack,
        lanes: LanesStack,
    ) -> None:
        super().__init__(scope, construct_id, fleet=fleet, bundles=bundles, holds="workflows and their recorder")
        for name, definition in self.workflows.items():
            made = WorkflowMachine(
                self,
                _construct_id(name),
                fleet=fleet,
                definition=definition,
                lanes=lanes.lanes,
                bucket_name=state.payloads_name,
            )
            cdk.CfnOutput(self, f"Workflow{_construct_id(name)}", value=made.machine.state_machine_arn)
        recorder = self._recorder(state)
        # A rule for no machines would be a rule for all of the account.
        if self.workflows:
            self._tell(recorder)

    def _recorder(self, state: StateStack) -> lambda_.Function:
        self._unrecorded = standard_queue(self, "NotRecorded", f"{self.fleet.name}-recorder-failures")
        acknowledge(
            self._unrecorded,
            {"AwsSolutions-SQS3": "It is itself where failures end, and no function works it off."},
        )
        function = self.add_function(
            "recorder",
            timeout_seconds=_RECORDER_TIMEOUT_SECONDS,
            memory_mb=self.fleet.background.memory_mb,
            environment={
                **environment.event_log(self.fleet, state),
                **environment.task_payloads(self.fleet, state),
                **environment.state_machines(self.fleet),
            },
            statements=[
                permissions.append_and_read(state.events),
                permissions.write_objects(state.payloads_name),
                *workflow_permissions.see_runs(self.fleet.name, self.workflows),
                # Lambda tells of what it gave up with the function's role.
                permissions.send([self._unrecorded]),
            ],
        )
        function.configure_async_invoke(
            max_event_age=cdk.Duration.hours(_LONGEST_TROUBLE_HOURS),
            retry_attempts=2,
            on_failure=SqsDestination(self._unrecorded),
        )
        cdk.CfnOutput(self, "RecorderFailures", value=self._unrecorded.queue_url)
        return function

    def _tell(self, recorder: lambda_.Function) -> None:
        machines = [workflow_permissions.state_machine_arn(self.fleet.name, name) for name in self.workflows]
        events.Rule(
            self,
            "ExecutionEnds",
            rule_name=f"{self.fleet.name}-execution-ends",
            description=f"{self.fleet.name}: how executions of workflows end",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                # The machines by their whole names: the items of distributed maps, which end too, are others'.
                detail={"status": list(_ENDS), "stateMachineArn": machines},
            ),
            targets=[
                targets.LambdaFunction(
                    recorder,
                    dead_letter_queue=self._unrecorded,
                    max_event_age=cdk.Duration.hours(_LONGEST_TROUBLE_HOURS),
                )
            ],
        )


def _construct_id(workflow: str) -> str:
    """`document-analysis` is `DocumentAnalysis`."""
    return "".join(part.capitalize() for part in workflow.split("-"))
