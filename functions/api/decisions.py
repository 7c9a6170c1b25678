"""`/v1/decisions/{token}`: the page behind a link to a decision, and what its buttons do.

No key is asked for: the link is one, for one decision, until it expires. Looking decides nothing, whoever looks: mail
programs open links before people do. Nothing of the token is logged here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from flotilla.errors import ParkedError, RetryableError
from flotilla.services.decision_links import APPROVE, DENY
from flotilla.services.decisions import Decisions, Ending, Question
from functions.api.decision_page import decided_page, invalid_page, question_page, refused_page, unavailable_page
from functions.api.gateway import Request, Response
from functions.api.problems import RefusalError
from functions.api.routing import Call

MAX_FORM_BYTES = 1024

_FORM_TYPE = "application/x-www-form-urlencoded"
_OWN_FETCHES = frozenset({"same-origin", "none"})
_WANTED = {APPROVE: Ending.APPROVED, DENY: Ending.DENIED}


class DecisionRoutes:
    """Answers the calls about decisions.

    Args:
        decisions: Shows and decides; None where no links are made.
        api_url: Where people reach the API, if that is not where it is called.
    """

    def __init__(self, decisions: Decisions | None, api_url: str | None = None) -> None:
        self._decisions = decisions
        self._host = None if api_url is None else urlsplit(api_url).netloc.lower()

    async def show(self, call: Call) -> Response:
        """`GET /v1/decisions/{token}`."""
        return await self._answer(call, lambda decisions, token: decisions.find(token), question_page)

    async def decide(self, call: Call) -> Response:
        """`POST /v1/decisions/{token}`: `decision=approve` or `decision=deny`, as the page's form sends it."""
        if not self._is_own(call.request):
            return refused_page(403, "The request was made by another site.")
        wanted = _wanted(call.request)
        if isinstance(wanted, Response):
            return wanted
        return await self._answer(
            call,
            lambda decisions, token: decisions.decide(
                token, approve=wanted is Ending.APPROVED, request_id=call.request.request_id
            ),
            lambda question: decided_page(question, wanted),
        )

    async def _answer(
        self,
        call: Call,
        find: Callable[[Decisions, str], Awaitable[Question | None]],
        show: Callable[[Question], Response],
    ) -> Response:
        if self._decisions is None:
            return invalid_page()
        try:
            question = await find(self._decisions, call.parameters["token"])
        except (RetryableError, ParkedError) as error:
            call.log["problem"] = error.code
            return unavailable_page()
        if question is None:
            return invalid_page()
        call.log["task_id"] = question.state.task_id
        return show(question)

    def _is_own(self, request: Request) -> bool:
        """Whether nothing says that another site's page sent it. Programs say nothing, and need not."""
        if request.headers.get("sec-fetch-site", "same-origin").lower() not in _OWN_FETCHES:
            return False
        origin = request.headers.get("origin")
        own = {request.headers.get("host", "").lower(), self._host} - {"", None}
        return origin is None or origin.lower().partition("://")[2] in own


def _wanted(request: Request) -> Ending | Response:
    """What was decided, or the answer to a form that is none of ours."""
    declared, _, _ = request.headers.get("content-type", "").partition(";")
    if declared.strip().lower() != _FORM_TYPE:
        return refused_page(415, f"A decision is sent as {_FORM_TYPE}.")
    try:
        content = request.body_bytes() if len(request.body) <= 2 * MAX_FORM_BYTES else b" " * (MAX_FORM_BYTES + 1)
        if len(content) > MAX_FORM_BYTES:
            return refused_page(413, "The form is too large.")
        decisions = parse_qs(content.decode(), max_num_fields=8).get("decision", [])
    except (RefusalError, ValueError):
        return refused_page(400, "The form cannot be read.")
    if len(decisions) != 1 or decisions[0] not in _WANTED:
        return refused_page(422, f"A decision is {APPROVE} or {DENY}.")
    return _WANTED[decisions[0]]
