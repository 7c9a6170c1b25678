"""Entry point of the authorizer: a request's headers in, the caller's identity out.

It lets every request through. What API Gateway answers in an authorizer's place is no problem
document, so it is the API function that refuses, by the `outcome` in the context.
"""

from __future__ import annotations

import logging as standard_logging
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.clock import SystemClock
from flotilla.dynamo.api_keys import ApiKey, DynamoApiKeys
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.settings import AuthorizerSettings
from functions.authorizer.identify import IDENTIFIED, UNAVAILABLE, Identifier

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = standard_logging.getLogger("flotilla.authorizer")

_AWS_THREADS = 4  # one request at a time, and those before it that were given up


def identifier(settings: AuthorizerSettings) -> Identifier:
    """An identifier, wired to AWS."""
    keys = DynamoApiKeys(clients.dynamodb(), settings.control_table)
    run_sync = threads.ThreadRunner("aws", _AWS_THREADS)

    async def find(raw_key: str) -> ApiKey | None:
        return await run_sync(keys.find, raw_key)

    return Identifier(find, SystemClock())


@cache
def _deployed_identifier() -> Identifier:
    return identifier(AuthorizerSettings.read())


def respond(make_identifier: Callable[[], Identifier], event: dict[str, Any]) -> dict[str, Any]:
    """Answer one of API Gateway's authorizer events, with whatever error in place of an identity."""
    try:
        context = threads.run(make_identifier().context(event))
    except Exception:
        logger.exception("authorizer failed")
        context = dict(UNAVAILABLE)
    # Who called is in the access log too: a line of its own is for who could not be identified.
    logger.log(
        standard_logging.DEBUG if context["outcome"] == IDENTIFIED else standard_logging.INFO,
        "identified",
        extra={
            "outcome": context["outcome"],
            "tenant": context.get("tenant"),
            "key_id": context.get("key_id"),
            "request_id": (event.get("requestContext") or {}).get("requestId"),
        },
    )
    return {"isAuthorized": True, "context": context}


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Tell who a request comes from.

    Args:
        event: API Gateway's authorizer event, type REQUEST, payload format 2.0.
        context: The invocation's context.

    Returns:
        A simple response that always authorizes, with the identity or its absence in the context.
    """
    del context  # an authorizer's time is bounded by its lookup
    logging.configured()
    return respond(_deployed_identifier, event)
