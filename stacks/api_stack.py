"""The gateway: an HTTP API in front of one function, and the authorizer that says who is calling."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk.aws_apigatewayv2_authorizers import HttpLambdaAuthorizer, HttpLambdaResponseType
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from stacks.bundling import Bundles
from stacks.constructs import permissions
from stacks.constructs.acknowledgements import acknowledge
from stacks.constructs.fleet_function import FleetFunction, FunctionShape
from stacks.constructs.log_group import log_group
from stacks.constructs.runtime_layers import RuntimeLayers
from stacks.environment import lane_queues, task_environment
from stacks.lanes_stack import LanesStack
from stacks.settings_model import Fleet
from stacks.state_stack import StateStack

_API_TIMEOUT_SECONDS = 29
"""HTTP APIs give up after 30 s; the function answers before."""

_AUTHORIZER_TIMEOUT_SECONDS = 10
"""HTTP APIs give up on an authorizer after 10 s."""


_ACCESS_LOG = {
    "request_id": "$context.requestId",
    "at": "$context.requestTime",
    "source_ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",
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
"""One line for each request. Never a header or a query: a key may be in them."""


class ApiStack(cdk.Stack):
    """The HTTP API.

    The authorizer never refuses: an HTTP API's own 401 and 403 cannot be problem+json. It says who is calling, or
    that nobody known is, and the API function refuses. Hence neither identity source nor cache at the gateway: it
    must run for requests without a key as well, and caches what it looks up by itself.
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
        super().__init__(scope, construct_id, description=f"{fleet.name}: HTTP API and its authorizer")
        self._fleet = fleet
        self._bundles = bundles
        self._layers = RuntimeLayers(self, "Layers", bundles=bundles, fleet=fleet.name)
        function = self._api_function(state, lanes)
        authorizer = self._authorizer_function(state)
        api = self._http_api(function, authorizer)
        stage = self._stage(api)
        cdk.CfnOutput(self, "ApiUrl", value=stage.url)
        cdk.CfnOutput(self, "ApiId", value=api.api_id)

    def _api_function(self, state: StateStack, lanes: LanesStack) -> FleetFunction:
        queues = [lane.queue for lane in lanes.lanes.values()]
        return self._function(
            "Api",
            package="api",
            timeout_seconds=_API_TIMEOUT_SECONDS,
            environment={
                **task_environment(self._fleet, state),
                "FLOTILLA_CONTROL_TABLE": state.control.table_name,
                "FLOTILLA_LANES": lane_queues(self, lanes.lanes),
                "FLOTILLA_DEFAULT_LANE": self._fleet.default_lane,
            },
            statements=[
                permissions.append_and_read(state.events),
                permissions.query(state.control),
                permissions.keep_payloads(state.payloads_name),
                permissions.send(queues),
                permissions.inspect(queues),
            ],
        )

    def _authorizer_function(self, state: StateStack) -> FleetFunction:
        return self._function(
            "Authorizer",
            package="authorizer",
            timeout_seconds=_AUTHORIZER_TIMEOUT_SECONDS,
            environment={
                "FLOTILLA_NAME": self._fleet.name,
                "FLOTILLA_CONTROL_TABLE": state.control.table_name,
            },
            statements=[permissions.look_up(state.control)],
        )

    def _function(
        self,
        construct_id: str,
        *,
        package: str,
        timeout_seconds: int,
        environment: dict[str, str],
        statements: list[permissions.Permission],
    ) -> FleetFunction:
        return FleetFunction(
            self,
            construct_id,
            shape=FunctionShape(
                name=f"{self._fleet.name}-{package}",
                package=package,
                code=self._bundles.functions[package],
                timeout_seconds=timeout_seconds,
                memory_mb=self._fleet.api.memory_mb,
            ),
            layers=self._layers,
            logging=self._fleet.logs,
            environment=environment,
            permissions=statements,
        )

    def _http_api(self, function: FleetFunction, authorizer: FleetFunction) -> apigateway.HttpApi:
        api = apigateway.HttpApi(self, "HttpApi", api_name=self._fleet.name, create_default_stage=False)
        integration = HttpLambdaIntegration("Integration", function.function, scope_permission_to_route=False)
        api.add_routes(
            path="/v1/{proxy+}",
            methods=[apigateway.HttpMethod.ANY],
            integration=integration,
            authorizer=HttpLambdaAuthorizer(
                "ApiKeys",
                authorizer.function,
                authorizer_name=f"{self._fleet.name}-api-keys",
                identity_source=[],
                response_types=[HttpLambdaResponseType.SIMPLE],
                results_cache_ttl=cdk.Duration.seconds(0),
            ),
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
        name = f"/aws/vendedlogs/apis/{self._fleet.name}"
        group = log_group(self, "AccessLogs", name=name, retention_days=self._fleet.api.access_log_retention_days)
        stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(
                rate_limit=self._fleet.api.rate_per_second, burst_limit=self._fleet.api.burst
            ),
        )
        resource = stage.node.default_child
        assert isinstance(resource, apigateway.CfnStage)
        resource.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=group.log_group_arn, format=json.dumps(_ACCESS_LOG)
        )
        return stage
