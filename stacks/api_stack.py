"""The gateway: an HTTP API in front of one function, and the authorizer that says who is calling."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_apigatewayv2_authorizers import HttpLambdaAuthorizer, HttpLambdaResponseType
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from stacks import environment
from stacks.background import ARCHIVED, SUMMED_UP
from stacks.bundling import Bundles
from stacks.constructs import permissions, workflow_permissions
from stacks.constructs.acknowledgements import acknowledge
from stacks.constructs.log_group import log_group
from stacks.functions_stack import FunctionsStack
from stacks.lanes_stack import LanesStack
from stacks.settings_model import Fleet
from stacks.state_stack import StateStack

_API_TIMEOUT_SECONDS = 29
"""HTTP APIs give up after 30 s; the function answers before."""

_AUTHORIZER_TIMEOUT_SECONDS = 10
"""HTTP APIs give up on an authorizer after 10 s."""


_ACCESS_LOG = {
    "request_id": "$context.requestId",
    "source_ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "route": "$context.routeKey",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "integration_latency_ms": "$context.integrationLatency",
    "integration_error": "$context.integrationErrorMessage",
    "authorizer_error": "$context.authorizer.error",
    "tenant": "$context.authorizer.tenant",
    "key_id": "$context.authorizer.key_id",
}
"""One line for each request. Never a header, a query or a path: a key, or the token of a decision, may be in them."""


_PAUSES = "PAUSE"
_WEBHOOKS = "WEBHOOKS#*"
"""Partitions of the control table that operators and clients change through the API. API keys are in none of them."""

_CIRCUITS = "CIRCUIT#*"
_NAMES_OF_CIRCUITS = "CIRCUITS"
"""Shown and forced by operators; looked at where an agent would rather refuse tasks than let them wait."""

_SCALER = "SCALER"
_LIMITS = "LIMITS"
_BUCKETS = "BUCKET#*"
"""Set by operators; drawn from by submits."""

_READINESS = "readiness-probe"
"""A partition that is always empty, asked for to learn whether the table answers."""


class ApiStack(FunctionsStack):
    """The HTTP API.

    The authorizer never refuses: an HTTP API's own 401 and 403 cannot be problem+json. It says who is calling, or
    that nobody known is, and the API function refuses. Hence neither identity source nor cache at the gateway: it
    must run for requests without a key as well, and caches what it looks up by itself.

    Attributes:
        url: Its own address, without a slash at the end.
        api_id: Its id, by which it is watched.
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
        super().__init__(scope, construct_id, fleet=fleet, bundles=bundles, holds="HTTP API and its authorizer")
        function = self._api_function(state, lanes)
        authorizer = self._authorizer_function(state)
        api = self._http_api(function, authorizer)
        self._stage(api)
        self.url = api.api_endpoint
        self.api_id = api.api_id
        cdk.CfnOutput(self, "ApiUrl", value=f"{self.url}/")
        cdk.CfnOutput(self, "ApiId", value=api.api_id)

    def _api_function(self, state: StateStack, lanes: LanesStack) -> lambda_.Function:
        queues = [lane.queue for lane in lanes.lanes.values()]
        dead_letters = [lane.dead_letters for lane in lanes.lanes.values()]
        tiers = list(lanes.delays.tiers.values())
        return self.add_function(
            "api",
            timeout_seconds=_API_TIMEOUT_SECONDS,
            memory_mb=self.fleet.api.memory_mb,
            environment={
                **environment.event_log(self.fleet, state),
                **environment.task_payloads(self.fleet, state),
                **environment.control(state),
                **environment.views(state),
                **environment.archive(state),
                **environment.lane_queues(self, lanes.lanes),
                **environment.delay_queues(self, lanes),
                **environment.schedules(self, lanes),
                **environment.workers(self.fleet),
                **environment.canaries(self.fleet),
                **environment.webhook_targets(self.fleet),
                **environment.event_bus(self.fleet),
                **environment.trace_share(self.fleet),
                **environment.state_machines(self.fleet),
                **environment.decisions(state),
                **environment.public_url(self.fleet),
                **environment.list_prices(),
                "FLOTILLA_DEFAULT_LANE": self.fleet.default_lane,
            },
            statements=[
                permissions.append_and_read(state.events),
                permissions.query(state.views, indexes=["attention", "dead", "run"]),
                permissions.within(state.control, ["Query"], [_PAUSES, _WEBHOOKS, _READINESS]),
                permissions.within(
                    state.control, ["GetItem", "PutItem", "UpdateItem", "DeleteItem"], [_PAUSES, _WEBHOOKS]
                ),
                permissions.within(state.control, ["Query"], [_CIRCUITS, _NAMES_OF_CIRCUITS, _LIMITS]),
                permissions.within(state.control, ["GetItem"], [_CIRCUITS, _BUCKETS, _SCALER]),
                permissions.within(state.control, ["PutItem"], [_CIRCUITS, _NAMES_OF_CIRCUITS, _LIMITS]),
                permissions.within(state.control, ["UpdateItem"], [_BUCKETS]),
                permissions.within(state.control, ["DeleteItem"], [_LIMITS]),
                permissions.keep_objects(state.payloads_name),
                permissions.see_payload_missing(state.payloads_name),
                permissions.read_objects(state.archive_name),
                permissions.list_objects(state.archive_name, [ARCHIVED, SUMMED_UP]),
                permissions.send([*queues, *tiers]),
                permissions.inspect([*queues, *dead_letters, *tiers]),
                permissions.read_metrics(),
                *([permissions.put_events_on(self.fleet.name)] if self.fleet.broadcast.event_bus else []),
                *permissions.schedule(lanes.schedule_group, lanes.schedule_role),
                permissions.read_secrets([state.decisions_name]),
                *workflow_permissions.start_runs(self.fleet.name, self.workflows),
                *workflow_permissions.see_runs(self.fleet.name, self.workflows),
                *workflow_permissions.see_maps(self.fleet.name, self.workflows),
            ],
        )

    def _authorizer_function(self, state: StateStack) -> lambda_.Function:
        return self.add_function(
            "authorizer",
            timeout_seconds=_AUTHORIZER_TIMEOUT_SECONDS,
            memory_mb=self.fleet.api.memory_mb,
            environment={"FLOTILLA_NAME": self.fleet.name, **environment.control(state)},
            statements=[permissions.look_up(state.control)],
        )

    def _http_api(self, function: lambda_.Function, authorizer: lambda_.Function) -> apigateway.HttpApi:
        api = apigateway.HttpApi(self, "HttpApi", api_name=self.fleet.name, create_default_stage=False)
        integration = HttpLambdaIntegration("Integration", function, scope_permission_to_route=False)
        api.add_routes(
            path="/v1/{proxy+}",
            methods=[apigateway.HttpMethod.ANY],
            integration=integration,
            authorizer=HttpLambdaAuthorizer(
                "ApiKeys",
                authorizer,
                authorizer_name=f"{self.fleet.name}-api-keys",
                identity_source=[],
                response_types=[HttpLambdaResponseType.SIMPLE],
                results_cache_ttl=cdk.Duration.seconds(0),
            ),
        )
        # Who has the link that was sent to them needs no key: the function checks what the link is signed with.
        decisions = api.add_routes(
            path="/v1/decisions/{token}",
            methods=[apigateway.HttpMethod.GET, apigateway.HttpMethod.POST],
            integration=integration,
        )
        for route in decisions:
            acknowledge(
                route,
                {"AwsSolutions-APIG4": "Its path holds a signed token that names one decision and expires; no key."},
            )
        # Health, the OpenAPI document, and the problem+json of every unknown path.
        fallback = apigateway.HttpRoute(
            self, "Fallback", http_api=api, route_key=apigateway.HttpRouteKey.DEFAULT, integration=integration
        )
        acknowledge(
            fallback,
            {"AwsSolutions-APIG4": "It serves only what needs no key: health, the OpenAPI document, 404 for all else."},
        )
        return api

    def _stage(self, api: apigateway.HttpApi) -> apigateway.HttpStage:
        # The prefix keeps API Gateway from listing every such group in a policy of limited size.
        name = f"/aws/vendedlogs/apis/{self.fleet.name}"
        group = log_group(self, "AccessLogs", name=name, retention_days=self.fleet.api.access_log_retention_days)
        stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(
                rate_limit=self.fleet.api.rate_per_second, burst_limit=self.fleet.api.burst
            ),
        )
        resource = stage.node.default_child
        assert isinstance(resource, apigateway.CfnStage)
        resource.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=group.log_group_arn, format=json.dumps(_ACCESS_LOG)
        )
        return stage
