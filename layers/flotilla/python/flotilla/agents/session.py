"""What `ctx.session` is: the memory of the session that the task belongs to.

Invariant: what an agent appends is in the session exactly if its task succeeds. An attempt that fails, dies or loses
its task adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from flotilla.errors import PermanentError


class Memory(Protocol):
    """A session's turns, as one attempt sees and adds to them."""

    async def turns(self) -> list[Any]:
        """The contents of all turns, oldest first, this attempt's own last."""
        ...

    async def append(self, content: Any) -> None:
        """Add a turn, to be kept if the task succeeds."""
        ...


class Session:
    """`ctx.session` of an async agent.

    Args:
        memory: The session's memory; None for a task that belongs to no session.
    """

    def __init__(self, memory: Memory | None) -> None:
        self._memory = memory

    async def turns(self) -> list[Any]:
        """What the session's tasks have appended: JSON values, oldest first, this attempt's own last.

        Only the newest 1,000 are kept in view. Changing what is returned changes nothing.

        Raises:
            PermanentError: The task belongs to no session (`no_session`).
            RetryableError: A store did not answer.
        """
        return await self._of_task().turns()

    async def append(self, content: Any) -> None:
        """Add a turn to the session. It is kept if this task succeeds, together with its result, and only then.

        Args:
            content: What to remember: JSON, or what pydantic makes JSON of.

        Raises:
            PermanentError: The task belongs to no session (`no_session`), the content is not JSON
                (`invalid_turn`), or the attempt has appended 100 turns already (`too_many_turns`).
            RetryableError: A store did not answer.
        """
        await self._of_task().append(content)

    def _of_task(self) -> Memory:
        if self._memory is None:
            raise PermanentError("this task belongs to no session: submit it with one", code="no_session")
        return self._memory


class SyncSession:
    """`ctx.session` of a plain agent: `Session` without `await`.

    Args:
        session: The session.
        call: Runs a coroutine on the event loop, and waits for it on the agent's own thread.
    """

    def __init__(self, session: Session, call: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._session = session
        self._call = call

    def turns(self) -> list[Any]:
        """See `Session.turns`."""
        found: list[Any] = self._call(self._session.turns())
        return found

    def append(self, content: Any) -> None:
        """See `Session.append`."""
        self._call(self._session.append(content))
