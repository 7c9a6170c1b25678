"""The domain name system, by the machine's own resolver."""

from __future__ import annotations

import socket

from flotilla.errors import RetryableError
from flotilla.ports import RunSync


class SystemResolver:
    """`Resolver` over `getaddrinfo`, which can be neither awaited nor stopped.

    Args:
        run_sync: Runs it, on threads of its own: a lookup that hangs must hold up nothing else.
    """

    def __init__(self, run_sync: RunSync) -> None:
        self._run_sync = run_sync

    async def addresses(self, host: str, port: int) -> list[str]:
        """See `Resolver.addresses`."""
        return await self._run_sync(_addresses, host, port)


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise RetryableError("its host name does not resolve", code="unresolved") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
