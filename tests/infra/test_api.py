"""The HTTP API."""

from __future__ import annotations

import json

from aws_cdk.assertions import Match, Template


def test_everything_below_v1_passes_the_authorizer(api: Template) -> None:
    api.has_resource_properties(
        "AWS::ApiGatewayV2::Route",
        {"RouteKey": "ANY /v1/{proxy+}", "AuthorizationType": "CUSTOM", "AuthorizerId": Match.any_value()},
    )


def test_all_else_goes_to_the_same_function_without_it(api: Template) -> None:
    open_to_all = ("$default", "GET /v1/decisions/{token}", "POST /v1/decisions/{token}")
    for route in open_to_all:
        api.has_resource_properties("AWS::ApiGatewayV2::Route", {"RouteKey": route, "AuthorizationType": "NONE"})
    api.resource_count_is("AWS::ApiGatewayV2::Route", 1 + len(open_to_all))
    api.resource_count_is("AWS::ApiGatewayV2::Integration", 1)


def test_the_authorizer_is_asked_for_every_request_also_for_one_without_a_key(api: Template) -> None:
    api.has_resource_properties(
        "AWS::ApiGatewayV2::Authorizer",
        {
            "AuthorizerType": "REQUEST",
            "AuthorizerPayloadFormatVersion": "2.0",
            "EnableSimpleResponses": True,
            "AuthorizerResultTtlInSeconds": 0,
            "IdentitySource": [],
        },
    )


def test_the_default_stage_is_throttled_and_logs_every_request(api: Template) -> None:
    api.has_resource_properties(
        "AWS::ApiGatewayV2::Stage",
        {
            "StageName": "$default",
            "AutoDeploy": True,
            "DefaultRouteSettings": {"ThrottlingRateLimit": 500, "ThrottlingBurstLimit": 1000},
            "AccessLogSettings": {"DestinationArn": Match.any_value(), "Format": Match.any_value()},
        },
    )
    api.has_resource_properties(
        "AWS::Logs::LogGroup", {"LogGroupName": "/aws/vendedlogs/apis/flotilla", "RetentionInDays": 90}
    )


def test_access_logs_hold_nothing_that_a_key_or_a_signed_token_may_be_in(api: Template) -> None:
    (stage,) = api.find_resources("AWS::ApiGatewayV2::Stage").values()
    logged = json.loads(stage["Properties"]["AccessLogSettings"]["Format"])
    assert "$context.requestId" in logged.values()
    secretive = ("header", "query", "context.path", "context.protocol")
    assert not [value for value in logged.values() if value.lower().removeprefix("$").startswith(secretive)]
    assert not [value for value in logged.values() if "header" in value.lower() or "query" in value.lower()]


def test_only_this_api_may_invoke_its_functions(api: Template) -> None:
    api.resource_count_is("AWS::Lambda::Permission", 2)
    api.all_resources_properties(
        "AWS::Lambda::Permission", {"Principal": "apigateway.amazonaws.com", "SourceArn": Match.any_value()}
    )


def test_outputs_name_what_the_tools_look_for(api: Template) -> None:
    for name in ("ApiUrl", "ApiId"):
        api.has_output(name, {"Export": Match.absent()})
