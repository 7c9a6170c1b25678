"""What the peers have in common: a server, two worker processes, a submitter, and a file that counts what was run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.peers.environment import PYTHON
from benchmarks.peers.processor_time import tree
from benchmarks.peers.subject import AT_ONCE, WORKERS, Submitted
from local.instance import REPOSITORY

_STOP_SECONDS = 5.0
_INSTALL_SECONDS = 60.0
_SUBMIT_SECONDS = 180.0
WORKER = "worker"


class Submitter:
    """A process that submits what it is told to.

    Args:
        command: What starts it.
        environment: What it sees.
        log: Where it complains.
    """

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as complaints:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                cwd=REPOSITORY,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                start_new_session=True,
            )
        self._log = log
        self.pid = self._process.pid
        self._read()

    def submit(self, workload: str, keys: Sequence[str], pace_seconds: float) -> list[Submitted]:
        """See `Subject.submit`.

        Raises:
            RuntimeError: It has ended, or does not come to an end.
        """
        order = {"workload": workload, "keys": list(keys), "pace_seconds": pace_seconds, "at_once": AT_ONCE}
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        patience = threading.Timer(_SUBMIT_SECONDS, self._process.kill)
        patience.start()
        try:
            return [Submitted(*row) for row in self._read()["submitted"]]
        finally:
            patience.cancel()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the submitter has ended: {self._log.read_text(encoding='utf-8')[-500:]}")
        found: dict[str, Any] = json.loads(line)
        return found


class ProgramsSubject:
    """A peer whose workers and submitter are programs in the peers' virtual environment.

    What a peer of its own has to say: `_serve`, which starts what it runs on, and the two commands.

    Args:
        directory: For all that it writes; it exists and is empty.
        sink_url: What its tasks call.
    """

    name = ""
    how = ""
    kills: Sequence[str] = (WORKER,)

    def __init__(self, directory: Path, sink_url: str) -> None:
        self._directory = directory
        self._notes = directory / "notes"
        self._environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "HOME": str(directory),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PEERS_NOTES": str(self._notes),
            "PEERS_SINK": sink_url,
        }
        self._workers: list[subprocess.Popen[bytes] | None] = []
        self._submitter: Submitter | None = None

    def _serve(self) -> None:
        """Start what it runs on, and say in `_environment` where that is."""
        raise NotImplementedError

    def _stop_serving(self) -> None:
        """Stop what it runs on."""
        raise NotImplementedError

    def _servers(self) -> Collection[int]:
        """First processes of what it runs on."""
        raise NotImplementedError

    def _worker_command(self, number: int) -> Sequence[str | Path]:
        """What starts a worker."""
        raise NotImplementedError

    def _submitter_command(self) -> Sequence[str | Path]:
        """What starts the submitter."""
        raise NotImplementedError

    def start(self) -> None:
        """See `Subject.start`."""
        self._notes.touch()
        self._serve()
        self._workers = [None] * WORKERS
        self.mend()
        self._submitter = Submitter(self._submitter_command(), self._environment, self._directory / "submitter.log")

    def submit(self, workload: str, keys: Sequence[str], *, pace_seconds: float = 0.0) -> list[Submitted]:
        """See `Subject.submit`."""
        assert self._submitter is not None
        return self._submitter.submit(workload, keys, pace_seconds)

    def has_run(self, submitted: Collection[Submitted]) -> bool:
        """See `Subject.has_run`."""
        return {each.key for each in submitted} <= self._noted().keys()

    def ends(self, submitted: Collection[Submitted]) -> Mapping[str, float]:
        """See `Subject.ends`."""
        noted = self._noted()
        return {each.key: noted[each.key] for each in submitted}

    def effect_key(self, submitted: Submitted) -> str:
        """See `Subject.effect_key`."""
        return submitted.key

    def roots(self) -> Collection[int]:
        """See `Subject.roots`."""
        workers = [worker.pid for worker in self._workers if worker is not None]
        return [*self._servers(), *workers, *([self._submitter.pid] if self._submitter else [])]

    def kill(self, what: str) -> None:  # noqa: ARG002 - here there is but one kind
        """See `Subject.kill`."""
        worker = self._workers[0]
        assert worker is not None
        self._workers[0] = None
        _kill_tree(worker)

    def mend(self) -> None:
        """See `Subject.mend`."""
        for number, worker in enumerate(self._workers):
            if worker is None:
                self._workers[number] = self._start_worker(number)

    def stop(self) -> None:
        """See `Subject.stop`."""
        if self._submitter is not None:
            self._submitter.stop()
        for worker in self._workers:
            if worker is not None:
                _kill_tree(worker)
        self._workers = []
        self._stop_serving()

    def _run(self, command: Sequence[str | Path]) -> None:
        """Run a program to its end.

        Raises:
            RuntimeError: It fails.
        """
        done = subprocess.run(
            [str(word) for word in command],
            cwd=REPOSITORY,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))} fails: {done.stderr.strip()[-500:]}")

    def _start_worker(self, number: int) -> subprocess.Popen[bytes]:
        with (self._directory / f"worker-{number}.log").open("ab") as log:
            return subprocess.Popen(
                [str(word) for word in self._worker_command(number)],
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _noted(self) -> dict[str, float]:
        """When each task was noted first."""
        found: dict[str, float] = {}
        for line in self._notes.read_text(encoding="ascii").splitlines():
            key, at_ms = line.split()
            found.setdefault(key, float(at_ms))
        return found


def program(module: str, *arguments: str) -> list[str | Path]:
    """The command of one of the peers' programs."""
    return [PYTHON, "-m", f"benchmarks.peers.programs.{module}", *arguments]


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started, as if their machine had gone."""
    for pid in sorted(tree(process.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
