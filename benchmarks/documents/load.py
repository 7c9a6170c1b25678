"""What the machine was busy with: processor time by whose it was, sampled while a benchmark runs.

A process that dies between two samples takes what it used since the last one with it, so what killed workers did is
a little too low; the machine's own sum is not. Threads are told apart by the names that the system knows them by.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from local.engine_maps import THREAD_NAME
from local.engine_process import engine_record
from local.event_sources_process import event_sources_record
from local.instance import Instance
from local.processes import Process

REQUESTS = "engine: requests of every service"
STATES = "engine: Step Functions"
INVOCATIONS = "engine: invocations and the rest"
WORKERS = "workers"
FUNCTIONS = "other functions"
SOURCES = "event sources"
CLIENT = "this script"

_EVERY_SECONDS = 1.0


@dataclass(slots=True)
class Load:
    """Processor time, in seconds.

    Attributes:
        seconds: How long was measured.
        cores: Of the machine.
        busy: The machine's, whoever used it.
        parts: By whose it was.
        functions: That of Lambda functions, by their names.
    """

    seconds: float = 0.0
    cores: int = 1
    busy: float = 0.0
    parts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    functions: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def machine(self) -> float:
        """The share of the machine that was in use."""
        return self.busy / (self.seconds * self.cores) if self.seconds else 0.0

    @property
    def others(self) -> float:
        """How much of one processor was used by nobody whom this knows."""
        return max(0.0, self.busy - sum(self.parts.values())) / self.seconds if self.seconds else 0.0

    def of_a_core(self, *parts: str) -> float:
        """How much of one processor these used."""
        return sum(self.parts[part] for part in parts) / self.seconds if self.seconds else 0.0

    @property
    def engine(self) -> float:
        """How much of one processor the engine's process used; as one interpreter, it can use hardly more than one."""
        return self.of_a_core(REQUESTS, STATES, INVOCATIONS)


class LoadMeter:
    """Measures an instance while it is entered.

    Attributes:
        load: What was found; whole once it is left.
    """

    def __init__(self, instance: Instance, *, every_seconds: float = _EVERY_SECONDS) -> None:
        self.load = Load(cores=os.cpu_count() or 1)
        self._instance = instance
        self._every = every_seconds
        self._known: dict[tuple[int, float], float] = {}
        self._first = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load-meter", daemon=True)
        self._began = self._began_busy = 0.0

    def __enter__(self) -> Self:
        self._sample()
        self._first = False
        self._began, self._began_busy = time.monotonic(), _busy()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._sample()
        self.load.seconds, self.load.busy = time.monotonic() - self._began, _busy() - self._began_busy

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            self._sample()

    def _sample(self) -> None:
        engine, sources = (Process.load(record(self._instance)) for record in (engine_record, event_sources_record))
        if engine is not None:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(engine.pid)
                self._engine_threads(process)
                for child in process.children():
                    self._function(child)
        for pid in (sources.pid if sources else None, os.getpid()):
            if pid is not None:
                with contextlib.suppress(psutil.Error):
                    self._whole(psutil.Process(pid), CLIENT if pid == os.getpid() else SOURCES)

    def _engine_threads(self, process: psutil.Process) -> None:
        for thread in process.threads():
            part = REQUESTS if thread.id == process.pid else INVOCATIONS
            if _thread_name(process.pid, thread.id).startswith(THREAD_NAME):
                part = STATES
            self._count(part, (thread.id, float(process.pid)), thread.user_time + thread.system_time)

    def _function(self, child: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error):
            name = child.environ().get("AWS_LAMBDA_FUNCTION_NAME", "")
            used = self._whole(child, WORKERS if "-worker-" in name else FUNCTIONS)
            self.load.functions[name or "starting"] += used

    def _whole(self, process: psutil.Process, part: str) -> float:
        times = process.cpu_times()
        return self._count(part, (process.pid, process.create_time()), times.user + times.system)

    def _count(self, part: str, key: tuple[int, float], used: float) -> float:
        """Add what was used since the last sample; of what was there before the first, nothing."""
        since = max(0.0, used - self._known.get(key, used if self._first else 0.0))
        self._known[key] = used
        self.load.parts[part] += since
        return since


def _thread_name(pid: int, thread_id: int) -> str:
    try:
        return Path(f"/proc/{pid}/task/{thread_id}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(getattr(times, kind, 0.0) for kind in ("user", "system", "nice", "irq", "softirq")))
