"""What `ctx.files` is: files in the fleet's bucket, shared by the tasks of one run of a workflow.

    workflows/<run>/…               of a run: its tasks read and write it
    workflows/inputs/<tenant>/…     what an operator put there for a tenant: its tasks read it
    tenants/<tenant>/tasks/<task>/files/…   of a task outside of workflows

Invariant: no name leads out of these. Whose files a task reaches follows from its message, never from its input.

Refuses to list or to remove anything: who reads a file was told its name.
"""

from __future__ import annotations

import asyncio
import collections
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from flotilla.attempt_ports import Supervisor
from flotilla.errors import PermanentError, RetryableError
from flotilla.models import TaskMessage
from flotilla.ports import PayloadStore

RUNS = "workflows/"
"""Begins the keys of all files of workflows."""

_INPUTS = f"{RUNS}inputs/"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._=@+-]*(/[A-Za-z0-9_-][A-Za-z0-9._=@+-]*)*")
_LONGEST_NAME = 512
_AT_ONCE = 16
_MISSING = "payload_missing"


def folder_of(message: TaskMessage) -> str:
    """Where a task's files lie, as the beginning of their keys."""
    if message.workflow is not None:
        return f"{RUNS}{message.workflow.run}/"
    return f"tenants/{message.tenant}/tasks/{message.task_id}/files/"


class Files:
    """`ctx.files` of an async agent.

    Args:
        store: Where they lie.
        message: Whose they are.
        supervision: Says whether the attempt may go on.
    """

    def __init__(self, store: PayloadStore, message: TaskMessage, supervision: Supervisor) -> None:
        self._store = store
        self._supervision = supervision
        self._folder = folder_of(message)
        self._readable = (self._folder, f"{_INPUTS}{message.tenant}/")

    def key(self, name: str) -> str:
        """The key of a file of the task's own folder, as other states and people name it.

        Raises:
            PermanentError: It is no name of a file (`invalid_file_name`).
        """
        if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            raise PermanentError("it is no name of a file", code="invalid_file_name")
        return self._folder + name

    async def write(self, name: str, content: bytes) -> str:
        """Write a file of the task's own folder; one that is there is replaced, as a repeated attempt does.

        Args:
            name: Below the folder: letters, digits and `_ - . = @ +`, parts divided by `/`.
            content: All of it.

        Returns:
            Its key. It is durable.

        Raises:
            PermanentError: It is no name of a file (`invalid_file_name`).
            StoreUnavailableError: The store did not answer. Let it pass.
            AttemptRevokedError: The task was cancelled, or another worker owns it. Let it pass.
            ParkedError: The task was paused. Let it pass.
        """
        key = self.key(name)
        await self._supervision.go_on()
        await self._store.put(key, content)
        return key

    async def write_all(self, contents: Mapping[str, bytes]) -> None:
        """Write many files, some of them at once. Where one fails no further ones are begun, and some may be written.

        Raises:
            FlotillaError: As `write`.
        """
        rest = iter(contents.items())

        async def work() -> None:
            for name, content in rest:
                try:
                    await self.write(name, content)
                except BaseException:
                    collections.deque(rest, maxlen=0)  # nothing is left for the others
                    raise

        ended = await asyncio.gather(*(work() for _ in range(_AT_ONCE)), return_exceptions=True)
        failures = [each for each in ended if each is not None]
        if failures:
            raise failures[0]

    async def read(self, name: str) -> bytes:
        """Read a file.

        Args:
            name: Of a file of the task's own folder; or a whole key there, or of an input of the task's tenant.

        Raises:
            PermanentError: There is none (`file_missing`), it is none that the task may read (`file_not_allowed`), or
                no name of one (`invalid_file_name`).
            StoreUnavailableError: The store did not answer. Let it pass.
            AttemptRevokedError: The task was cancelled, or another worker owns it. Let it pass.
            ParkedError: The task was paused. Let it pass.
        """
        key = self._readable_key(name)
        await self._supervision.go_on()
        try:
            return await self._store.get(key)
        except RetryableError as error:
            if error.code != _MISSING:
                raise
            raise PermanentError("there is no such file", code="file_missing") from error

    def _readable_key(self, name: str) -> str:
        for folder in self._readable:
            if name.startswith(folder):
                self.key(name.removeprefix(folder))
                return name
        if name.startswith((RUNS, "tenants/")):
            raise PermanentError("this task may not read that file", code="file_not_allowed")
        return self.key(name)


class SyncFiles:
    """`Files` without `await`, for plain agents.

    Args:
        files: The files.
        call: Runs a coroutine on the event loop, and waits for it on the agent's own thread.
    """

    def __init__(self, files: Files, call: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._files = files
        self._call = call

    def key(self, name: str) -> str:
        """See `Files.key`."""
        return self._files.key(name)

    def write(self, name: str, content: bytes) -> str:
        """See `Files.write`."""
        key: str = self._call(self._files.write(name, content))
        return key

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        """See `Files.write_all`."""
        self._call(self._files.write_all(contents))

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        content: bytes = self._call(self._files.read(name))
        return content
