"""Where a webhook may go: its URL read strictly, its host resolved here, every address checked.

Invariant: whoever delivers gets addresses, not a name, and each of them was checked. There is no second look at the
name system between the check and the connection, so no answer can change in between (DNS rebinding). A host that has
one address out on the internet and another inside is refused whole.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

from flotilla.broadcast import Target
from flotilla.broadcast_ports import Resolver
from flotilla.errors import FlotillaError
from flotilla.primitives.public_address import why_refused
from flotilla.primitives.webhook_url import InvalidUrlError, target_of


class ForbiddenDestinationError(FlotillaError):
    """A webhook may not go there; the message says why, fit for the client."""

    default_code = "forbidden_destination"


class Destinations:
    """Decides where webhooks may go.

    Args:
        resolver: The domain name system.
        allow: Hosts, as URLs name them, that may be private and spoken to without TLS. For trying things out.
    """

    def __init__(self, resolver: Resolver, allow: Collection[str] = ()) -> None:
        self._resolver = resolver
        self._allow = frozenset(allow)

    def target(self, url: str) -> Target:
        """Where `url` leads.

        Raises:
            ForbiddenDestinationError: It is no URL that a webhook can have.
        """
        try:
            return target_of(url, self._allow)
        except InvalidUrlError as error:
            raise ForbiddenDestinationError(str(error), code="forbidden_url") from None

    async def addresses(self, target: Target) -> list[str]:
        """The addresses of the target's host as of now, all of which may be called.

        Raises:
            ForbiddenDestinationError: One of them may not.
            RetryableError: The host has none, or the resolver did not answer.
        """
        addresses = [target.host] if _is_address(target.host) else await self._resolve(target)
        if target.host not in self._allow:
            for address in addresses:
                if (why := why_refused(address)) is not None:
                    # The address is not repeated: what names stand for inside is nobody's business outside.
                    raise ForbiddenDestinationError(f"leads to an address that is not public ({why})")
        return addresses

    async def _resolve(self, target: Target) -> list[str]:
        return await self._resolver.addresses(target.host, target.port)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
