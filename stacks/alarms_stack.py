"""How the fleet is watched: alarms with the topics that tell of them, dashboards, and saved log queries.

Everything is named by what it watches and refers to no resource of another stack but the API's id, so that it can be
deployed, changed and removed by itself.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk.aws_sns_subscriptions import EmailSubscription
from constructs import Construct

from stacks.alarm_settings import EmailAddress
from stacks.api_stack import ApiStack
from stacks.constructs import workflow_permissions
from stacks.local_differences import Place
from stacks.monitoring import queries
from stacks.monitoring.alarms import Alarms, Topics
from stacks.monitoring.dashboards import (
    dashboard,
    draw_dependencies_and_cost,
    draw_lanes_and_agents,
    draw_overview,
    undrawn,
)
from stacks.monitoring.watchlist import watchlist
from stacks.settings_model import Fleet


class AlarmsStack(cdk.Stack):
    """What is watched.

    The topic `<fleet>-alarms` is told of every alarm, `<fleet>-pages` of what cannot wait. Both are there without
    alarms too: who has subscribed stays subscribed.
    """

    def __init__(self, scope: Construct, construct_id: str, *, fleet: Fleet, place: Place, api: ApiStack) -> None:
        super().__init__(scope, construct_id, description=f"{fleet.name}: alarms and dashboards")
        topics = Topics(
            informs=self._topic("Topic", f"{fleet.name}-alarms", f"Alarms of {fleet.name}", fleet.alarms.emails),
            pages=self._topic("Pages", f"{fleet.name}-pages", f"{fleet.name} needs somebody", fleet.alarms.pages),
        )
        cdk.CfnOutput(self, "AlarmsTopic", value=topics.informs.topic_arn)
        cdk.CfnOutput(self, "PagesTopic", value=topics.pages.topic_arn)
        raised = {}
        if fleet.alarms.enabled:
            machines = {name: workflow_permissions.state_machine_arn(fleet.name, name) for name in fleet.workflows}
            raised = Alarms(
                self,
                "Alarms",
                fleet=fleet.name,
                watchlist=watchlist(fleet, api_id=api.api_id, machines=machines),
                topics=topics,
                facade=undrawn(self, "Symptoms"),
                whole=place.has_all_of_cloudwatch,
            ).raised
        if fleet.dashboards.enabled:
            overview = dashboard(self, "Overview", fleet.name, shown=cdk.Duration.hours(3))
            draw_overview(overview, fleet, api_id=api.api_id, alarms=raised)
            lanes = dashboard(self, "Lanes", f"{fleet.name}-lanes-and-agents", shown=cdk.Duration.hours(3))
            draw_lanes_and_agents(lanes, fleet)
            cost = dashboard(self, "Cost", f"{fleet.name}-dependencies-and-cost", shown=cdk.Duration.days(7))
            draw_dependencies_and_cost(cost, fleet)
        if place.has_all_of_cloudwatch:
            queries.save(self, fleet.name, tuple(fleet.lanes))

    def _topic(self, construct_id: str, name: str, display_name: str, told: tuple[EmailAddress, ...]) -> sns.Topic:
        topic = sns.Topic(self, construct_id, topic_name=name, display_name=display_name, enforce_ssl=True)
        # A policy of one's own takes the place of SNS's, by which the account's alarms could publish.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AllowAlarms",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        for address in told:
            topic.add_subscription(EmailSubscription(address))
        return topic
