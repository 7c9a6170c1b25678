"""Who is calling, as the authorizer found out.

Failure policy: closed. An outcome this code does not know, or none at all, is no identity.
"""

from __future__ import annotations

from dataclasses import dataclass

from functions.api.gateway import Request
from functions.api.problems import RefusalError, refusal

_CHALLENGE = 'Bearer realm="flotilla"'
_RETRY_AFTER_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Identity:
    """An API key's owner."""

    tenant: str
    key_id: str
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        """The name under which the event log knows this caller."""
        return f"key:{self.key_id}"

    def require(self, scope: str) -> None:
        """Check that the key has `scope`.

        Raises:
            RefusalError: It has not.
        """
        if scope not in self.scopes:
            raise refusal(
                "missing-scope",
                f"This needs a key with the scope {scope}.",
                headers={"www-authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'},
            )


ANONYMOUS = Identity(tenant="", key_id="", scopes=frozenset())
"""The caller of a route that asks for no key. No tenant has an empty name, so it owns nothing."""


def identity_of(request: Request) -> Identity:
    """The caller's identity.

    Raises:
        RefusalError: There is none, or it could not be looked up.
    """
    said = request.authorizer
    match said.get("outcome"):
        case "ok" if said.get("tenant") and said.get("key_id"):
            return Identity(str(said["tenant"]), str(said["key_id"]), frozenset(str(said.get("scopes", "")).split()))
        case "unavailable":
            raise refusal(
                "unavailable",
                "The API key could not be checked. Try again.",
                headers={"retry-after": str(_RETRY_AFTER_SECONDS)},
            )
        case "unknown":
            raise _unauthenticated("This API key is not known, or no longer.", ', error="invalid_token"')
        case "malformed":
            raise _unauthenticated("Send the API key as `Authorization: Bearer <key>`.", ', error="invalid_token"')
        case _:
            raise _unauthenticated("Send an API key as `Authorization: Bearer <key>`.", "")


def _unauthenticated(detail: str, error: str) -> RefusalError:
    return refusal("unauthenticated", detail, headers={"www-authenticate": f"{_CHALLENGE}{error}"})
