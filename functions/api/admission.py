"""From a submission to its answer, under the limits that it comes under."""

from __future__ import annotations

from collections.abc import Awaitable

from flotilla.errors import FlotillaError, RetryableError
from flotilla.services.submit import Accepted
from flotilla.services.submit_limits import Admitted, SubmitLimits
from functions.api.rate_limits import refused_by_limit
from functions.api.routing import Call


class Admission:
    """Takes the tokens of single submits.

    Args:
        limits: Say how much may be accepted.
    """

    def __init__(self, limits: SubmitLimits) -> None:
        self._limits = limits

    async def admit(self, call: Call, agent: str) -> Admitted:
        """Take a token of each limit that a task of this agent comes under.

        Raises:
            RefusalError: One of them has none left.
        """
        identity = call.identity
        admitted = await self._limits.admit(identity.key_id, identity.tenant, [agent])
        if admitted.refused:
            call.log["limited_by"] = admitted.refused[0].kind
            raise refused_by_limit(await admitted.in_force(), admitted.refused[0])
        return admitted


async def accepted(work: Awaitable[Accepted], admitted: Admitted) -> Accepted:
    """Have a submission accepted, and give back what was taken for it if that made nothing new."""
    try:
        answer = await work
    except FlotillaError as error:
        if not isinstance(error, RetryableError):  # else it may have been accepted
            await admitted.give_back([0])
        raise
    if answer.replayed:
        await admitted.give_back([0])
    return answer
