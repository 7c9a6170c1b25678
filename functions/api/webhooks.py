"""`/v1/webhooks`: the endpoints that a tenant has its tasks' transitions told to.

A secret is shown once, in the answer that made it, and never again.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from flotilla.agents.catalog import Catalog
from flotilla.broadcast import Endpoint
from flotilla.clock import rfc3339
from flotilla.errors import InvalidInputError
from flotilla.models import Status
from flotilla.primitives.webhook_url import MAX_CHARACTERS
from flotilla.services.destinations import ForbiddenDestinationError
from flotilla.services.endpoints import EndpointService, Registration, TooManyEndpointsError, Unsaid
from functions.api.gateway import Response
from functions.api.problems import RefusalError, refusal
from functions.api.reading import json_body
from functions.api.requests import AgentName, read, read_query
from functions.api.routing import Call

Tenant = Annotated[str, Field(min_length=1, max_length=64)]

_ENDPOINT_ID = re.compile(r"whk_[0-9a-f]{24}")


class WebhookRequest(BaseModel):
    """The body of `POST /v1/webhooks`.

    What is left out takes its default, and for an endpoint that is registered already it stays as it is.

    Attributes:
        events: Statuses; by default the terminal ones. None at all: only the ends of tasks that name the endpoint.
        agents: Only tasks of these; null, the default, for all.
        tenant: Whose tasks it is told of; by default those of the key's own tenant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    url: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
    events: Annotated[list[Annotated[Status, Field(strict=False)]], Field(max_length=len(Status))] | None = None
    agents: Annotated[list[AgentName], Field(min_length=1, max_length=50)] | None = None
    tenant: Tenant | None = None


class WebhookQuery(BaseModel):
    """The query of the calls that show and remove endpoints.

    Attributes:
        tenant: Whose; by default those of the key's own tenant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: Tenant | None = None


class WebhookRoutes:
    """Answers the calls about webhook endpoints, each of which belongs to one tenant: the key's, or one that it names.

    All of them take the scope `operate`, which is for the whole fleet.

    Args:
        endpoints: Registers, shows and removes them.
        catalog: The agents there are.
    """

    def __init__(self, endpoints: EndpointService, catalog: Catalog) -> None:
        self._endpoints = endpoints
        self._catalog = catalog

    async def register(self, call: Call) -> Response:
        """`POST /v1/webhooks`: a new endpoint, or a new secret for the one of this URL."""
        wanted = read(WebhookRequest, json_body(call.request))
        try:
            endpoint = await self._endpoints.register(self._registration(wanted.tenant or call.identity.tenant, wanted))
        except ForbiddenDestinationError as error:
            raise InvalidInputError("A webhook cannot go there.", [("/url", error.message)]) from None
        except TooManyEndpointsError as error:
            raise InvalidInputError(error.message, [("/url", "is one endpoint too many")]) from None
        call.log["endpoint_id"] = endpoint.id
        value = _view(endpoint) | {"secret": endpoint.secrets[0].text}
        return Response(201, value, {"location": f"/v1/webhooks/{endpoint.id}"})

    async def list(self, call: Call) -> Response:
        """`GET /v1/webhooks`: all of them, which are few."""
        endpoints = await self._endpoints.all(_tenant(call))
        return Response(200, {"items": [_view(endpoint) for endpoint in endpoints], "next_cursor": None})

    async def get(self, call: Call) -> Response:
        """`GET /v1/webhooks/{webhook_id}`."""
        endpoint = await self._endpoints.get(_tenant(call), _endpoint_id(call))
        if endpoint is None:
            raise _no_such_endpoint()
        return Response(200, _view(endpoint))

    async def remove(self, call: Call) -> Response:
        """`DELETE /v1/webhooks/{webhook_id}`: nothing more is sent there, what is on its way included."""
        if not await self._endpoints.remove(_tenant(call), _endpoint_id(call)):
            raise _no_such_endpoint()
        return Response(204, None)

    def _registration(self, tenant: str, wanted: WebhookRequest) -> Registration:
        unknown = [
            (f"/agents/{position}", "is not the name of a deployed agent")
            for position, name in enumerate(wanted.agents or ())
            if name not in self._catalog
        ]
        if unknown:
            raise InvalidInputError("There is no such agent.", unknown)
        return Registration(
            tenant=tenant,
            url=wanted.url,
            events=Unsaid.UNSAID if wanted.events is None else list(dict.fromkeys(wanted.events)),
            agents=wanted.agents if "agents" in wanted.model_fields_set else Unsaid.UNSAID,
        )


def _view(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": [status.value for status in endpoint.events],
        "agents": None if endpoint.agents is None else list(endpoint.agents),
        "state": endpoint.state.value,
        "created_at": rfc3339(endpoint.created_at_ms),
    }


def _tenant(call: Call) -> str:
    return read_query(WebhookQuery, call.request.query).tenant or call.identity.tenant


def _endpoint_id(call: Call) -> str:
    found = call.parameters["webhook_id"]
    if not _ENDPOINT_ID.fullmatch(found):
        raise _no_such_endpoint()
    call.log["endpoint_id"] = found
    return found


def _no_such_endpoint() -> RefusalError:
    # The same for an endpoint of another tenant and for one that never was.
    return refusal("not-found", "There is no such webhook endpoint.")
