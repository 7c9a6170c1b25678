"""What has to be changed inside MiniStack, each change with the reason why nothing outside can do it.

Refuses to touch any version but the one it was written against: these are private parts. Those of Step Functions are
in `engine_stepfunctions` and `engine_maps`.

MiniStack is Copyright (c) 2026 MiniStack Contributors, MIT licence; nothing of it is copied here.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from local import engine_stepfunctions

PINNED_VERSION = "1.5.33"


def apply() -> None:
    """Applies all changes; call once, before the engine serves.

    Raises:
        RuntimeError: The installed engine is not the pinned one.
    """
    installed = importlib.metadata.version("ministack")
    if installed != PINNED_VERSION:
        raise RuntimeError(f"the patches are for MiniStack {PINNED_VERSION}, not {installed}")
    _leave_event_sources_to_us()
    _answer_long_polls_at_once()
    _keep_streams_across_restarts()
    _unpack_layers_once()
    _let_urgent_functions_go_first()
    _let_the_event_loop_go_first()
    engine_stepfunctions.apply()


def _leave_event_sources_to_us() -> None:
    """The engine's own pollers never start, so that a mapping is enabled or disabled as it is on AWS.

    They run one FIFO batch at a time and stall behind a failing stream. Deploying mappings disabled would keep them
    off, but the engine reports a mapping that a stack created disabled as `Enabled`, and after the next update as
    `Disabled`: nobody could tell a lane that an operator paused from one that the local event sources are to serve.
    """
    from ministack.services import lambda_svc

    vars(lambda_svc)["_ensure_poller"] = lambda: None


class Wake:
    """Wakes every waiter of an event loop from any thread, and from time to time by itself.

    One timer for all: most queues are empty most of the time, and a timer for each would be most of what waiting costs.
    """

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def fire(self) -> None:
        """Wakes those who wait now; safe from any thread."""
        if self._loop is not None and self._waiters:
            self._loop.call_soon_threadsafe(self._release)

    async def wait(self, seconds: float) -> None:
        """Returns when fired, or after about `seconds`: with the first of those who wait whose time is up."""
        self._loop = asyncio.get_running_loop()
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._time_is_up)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _time_is_up(self) -> None:
        self._timer = None
        self._release()

    def _release(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class _SqsAsyncio:
    """Stands for `asyncio` in the engine's SQS module, which uses these two names of it."""

    iscoroutine = staticmethod(asyncio.iscoroutine)

    def __init__(self, wake: Wake) -> None:
        self.sleep = wake.wait


def _answer_long_polls_at_once() -> None:
    """A long poll answers when a message arrives, instead of looking every 100 ms.

    The engine sets one event whenever any producer (SQS, SNS, EventBridge, Scheduler, Step Functions) enqueues. Waking
    its sleeping receives on that event takes 50 ms off the way of every task through an idle lane.
    """
    from ministack.core.concurrency import esm_wake
    from ministack.services import sqs

    wake = Wake()
    set_event = esm_wake.set

    def set_and_wake() -> None:
        set_event()
        wake.fire()

    esm_wake.set = set_and_wake
    sqs.asyncio = _SqsAsyncio(wake)


_STREAMS = ("_stream_records", "_stream_trimmed", "_closed_streams")


def _keep_streams_across_restarts() -> None:
    """Stream records that nobody has read yet survive a stop, as the tables they tell of do.

    The engine saves tables without their streams. A projection that was behind at `make down` would never catch up.
    """
    from ministack.services import dynamodb

    _extend_saved_state(dynamodb)


def _extend_saved_state(service: ModuleType) -> None:
    get_state = service.get_state
    load_persisted_state = service.load_persisted_state

    def get_state_with_streams() -> dict[str, Any]:
        streams = {f"flotilla{name}": copy.deepcopy(getattr(service, name)) for name in _STREAMS}
        return {**get_state(), **streams}

    def load_state_with_streams(data: dict[str, Any]) -> None:
        load_persisted_state(data)
        for name in _STREAMS:
            saved = data.get(f"flotilla{name}")
            if saved is not None:
                getattr(service, name).update(saved)

    vars(service).update(get_state=get_state_with_streams, load_persisted_state=load_state_with_streams)


_LAYER = "layer_"
_unpacking = threading.Lock()


class _SharedLayers(zipfile.ZipFile):
    """Unpacks a layer once, and gives every further execution environment a link to that."""

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        """As `ZipFile.extractall`, but for the directory of a layer."""
        target = Path(path or ".")
        if not target.name.startswith(_LAYER):
            super().extractall(path, members, pwd)
            return
        content = hashlib.sha256()
        for entry in self.infolist():
            content.update(f"{entry.filename}\0{entry.CRC}\0{entry.file_size}\0{entry.external_attr}\0".encode())
        shared = Path(tempfile.gettempdir()) / "unpacked-layers" / content.hexdigest()
        with _unpacking:
            if not shared.exists():
                scratch = shared.with_suffix(".part")
                super().extractall(scratch, members, pwd)
                scratch.rename(shared)
        target.rmdir()
        target.symlink_to(shared, target_is_directory=True)
        # The engine's copy of the archive, one per environment too, which it does not look at again.
        if self.filename is not None:
            Path(self.filename).unlink()


def _unpack_layers_once() -> None:
    """Execution environments share unpacked layers, which functions only read, as on AWS.

    The engine unpacks all layers anew for every environment: 40 MB and most of the time of a cold start, in its own
    process, so that a burst on cold functions stops everything else for seconds.
    """
    from ministack.core import lambda_runtime

    # The engine asks for the last of these by a name that the standard library does not have.
    vars(lambda_runtime)["zipfile"] = SimpleNamespace(
        ZipFile=_SharedLayers, BadZipFile=zipfile.BadZipFile, LargeFileError=zipfile.LargeZipFile
    )


_URGENT = ("-api", "-authorizer", "-worker-critical")
"""How the names of functions end that somebody waits for: what answers clients, and the lane of the first priority."""

_NICENESS = 10
"""Of all others: they get what those leave, and of a processor that both want about a tenth."""


def niceness_of(function_name: str) -> int:
    """By how much a function's processes stand back behind the engine and the urgent ones."""
    return 0 if function_name.endswith(_URGENT) else _NICENESS


class _Subprocess:
    """Stands for `subprocess` in the engine's Lambda."""

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(self, *arguments: Any, **options: Any) -> subprocess.Popen[Any]:  # noqa: N802 -- its name there
        """Starts a function's process."""
        process = subprocess.Popen(*arguments, **options)
        function_name = (options.get("env") or {}).get("AWS_LAMBDA_FUNCTION_NAME", "")
        niceness = niceness_of(function_name) if function_name else 0
        if niceness > os.getpriority(os.PRIO_PROCESS, 0):
            with contextlib.suppress(OSError):  # it has ended, which the engine will notice
                os.setpriority(os.PRIO_PROCESS, process.pid, niceness)
        return process


def _let_urgent_functions_go_first() -> None:
    """Functions that nobody waits for run at lower priority.

    On AWS each environment has a processor of its own. Here all of them share a few, and a lane at work on a thousand
    documents would keep the lane that is to be fast from starting at all.
    """
    from ministack.core import lambda_runtime

    vars(lambda_runtime)["subprocess"] = _Subprocess()


_SWITCH_SECONDS = 0.0005


def _let_the_event_loop_go_first() -> None:
    """A thread that computes gives way sooner to the one that answers everybody.

    Threads evaluate expressions of Step Functions and unpack functions. Each time that the event loop has waited for
    its next request it would wait for up to five milliseconds more, until such a thread lets go of the interpreter.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
