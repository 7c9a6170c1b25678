"""`/v1/task-batches`: many tasks in one call, each with an answer of its own.

Invariant: an item is answered as the same request would be by `POST /v1/tasks`; what is wrong with one has no effect
on the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from flotilla.errors import FlotillaError, RetryableError
from flotilla.services.submit import Accepted, Submission, SubmitService
from flotilla.services.submit_limits import SubmitLimits
from functions.api.expected_errors import problem_of, unexpected
from functions.api.gateway import Response
from functions.api.headers import idempotency_key
from functions.api.problems import RefusalError
from functions.api.rate_limits import rate_limit_fields, refused_by_limit
from functions.api.reading import json_body
from functions.api.requests import read
from functions.api.routing import Call
from functions.api.submissions import Submissions
from functions.api.task_view import TaskViews

MAX_TASKS = 100


class TaskBatchRequest(BaseModel):
    """The body of `POST /v1/task-batches`. Each item is a body of `POST /v1/tasks`, and is read by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tasks: Annotated[list[Any], Field(min_length=1, max_length=MAX_TASKS)]


class BatchRoutes:
    """Answers the calls about batches of tasks.

    Args:
        submissions: Reads the items.
        limits: Say how many of them may be accepted.
        submit: Accepts them.
        views: Shows them, as lists do: what is not small is left out and named.
    """

    def __init__(
        self, *, submissions: Submissions, limits: SubmitLimits, submit: SubmitService, views: TaskViews
    ) -> None:
        self._submissions = submissions
        self._limits = limits
        self._submit = submit
        self._views = views

    async def submit(self, call: Call) -> Response:
        """`POST /v1/task-batches`.

        With an `Idempotency-Key` the item at index n has the key `<key>/<n>`: the batch may be repeated whole, and an
        item of it by itself, with that key, as `POST /v1/tasks`. Where limits allow less than the whole, the items are
        accepted in their order as far as they reach.
        """
        wanted = read(TaskBatchRequest, json_body(call.request)).tasks
        key = idempotency_key(call.request)
        found = await asyncio.gather(*(self._read(call, key, index, item) for index, item in enumerate(wanted)))
        submissions = [item for item in found if isinstance(item, Submission)]
        answers, headers = await self._accept(call, submissions)
        outcomes = [next(answers) if isinstance(item, Submission) else item for item in found]
        results = [self._result(call, outcome) for outcome in outcomes]
        call.log["statuses"] = dict(Counter(str(result["status"]) for result in results))
        return Response(200, {"results": results}, headers)

    async def _accept(
        self, call: Call, submissions: Sequence[Submission]
    ) -> tuple[Iterator[Accepted | FlotillaError | RefusalError], dict[str, str]]:
        """What became of each, and the fields about limits."""
        identity, agents = call.identity, [submission.agent.name for submission in submissions]
        admitted = await self._limits.admit(identity.key_id, identity.tenant, agents)
        refused = admitted.refused
        accepted = iter(await self._submit.submit_batch([it for at, it in enumerate(submissions) if at not in refused]))
        outcomes = {at: next(accepted) for at in range(len(submissions)) if at not in refused}
        await admitted.give_back([at for at, outcome in outcomes.items() if _made_nothing(outcome)])
        limits = await admitted.in_force()
        answers = (
            refused_by_limit(limits, refused[at]) if at in refused else outcomes[at] for at in range(len(submissions))
        )
        return answers, rate_limit_fields(limits)

    async def _read(
        self, call: Call, key: str | None, index: int, item: Any
    ) -> Submission | FlotillaError | RefusalError:
        try:
            return await self._submissions.read(call, item, key=None if key is None else f"{key}/{index}")
        except (FlotillaError, RefusalError) as error:
            return error

    def _result(self, call: Call, outcome: Accepted | FlotillaError | RefusalError) -> dict[str, Any]:
        if isinstance(outcome, Accepted):
            return {"status": 202, "task": self._views.show_in_list(outcome.state), "replayed": outcome.replayed}
        problem = problem_of(outcome) or unexpected()
        document = problem.to_json(path=call.request.path, request_id=call.request.request_id)
        result: dict[str, Any] = {"status": problem.status, "problem": document}
        if "retry-after" in problem.headers:
            result["retry_after_seconds"] = int(problem.headers["retry-after"])
        return result


def _made_nothing(outcome: Accepted | FlotillaError) -> bool:
    # What a store did not answer may have been accepted.
    return outcome.replayed if isinstance(outcome, Accepted) else not isinstance(outcome, RetryableError)
