"""Cancelling one after the other whatever has an id."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from cli.calls import ApiError

T = TypeVar("T", bound=Mapping[str, Any])


async def cancel_each(ids: Sequence[str], cancel: Callable[[str], Awaitable[T]]) -> tuple[list[T], int]:
    """Cancel each; what the API refuses is told, and does not keep the others from it.

    Returns:
        What the API answered, and the exit status: 0 if all of them are cancelled now.

    Raises:
        ApiError: The API could not be reached.
    """
    answers: list[T] = []
    refused = 0
    for each in ids:
        try:
            answers.append(await cancel(each))
        except ApiError as error:
            if error.status is None:
                raise
            refused += 1
            print(f"{each}: {error}", file=sys.stderr)
    return answers, 1 if refused or any(answer["status"] != "cancelled" for answer in answers) else 0
