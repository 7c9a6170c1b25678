"""Starts, recognizes and stops the engine process of an instance.

An engine counts as running only if the recorded process is alive *and* answers on its port with the recorded secret: a
process that hangs, a recycled pid and a stranger on the port are all something else. Private to the instance: it never
touches a process that it has no record of.
"""

from __future__ import annotations

import hashlib
import http.client
import secrets
import shutil
import socket
import sys
import time
from pathlib import Path

from local.environment import ENGINE_PYTHON, engine_environment
from local.install import ENGINE_STAMP
from local.instance import DEFAULT_PORT, REPOSITORY, Instance
from local.processes import Process, end_group, spawn, start_of, stop
from local.progress import Step

_START_SECONDS = 60.0
_HEALTH_SECONDS = 5.0
_SAVE_SECONDS = 60.0
_POLL_SECONDS = 0.1
_PORTS_TO_TRY = 50


class EngineError(RuntimeError):
    """The engine cannot be started; the message says what to look at."""


def engine_record(instance: Instance) -> Path:
    """Where the running engine is recorded."""
    return instance.run / "engine.json"


def running_engine(instance: Instance) -> Process | None:
    """The instance's engine if it is alive and answers, else None."""
    process = Process.load(engine_record(instance))
    if process is None or not process.is_alive():
        return None
    return process if _control(process, "GET", "health") else None


def engine_is_current(instance: Instance) -> bool:
    """Whether `start_engine` would find an engine to reuse."""
    running = running_engine(instance)
    return running is not None and running.fingerprint == _fingerprint()


def start_engine(instance: Instance, step: Step) -> Process:
    """Makes the engine run: reuses one that does, replaces one that hangs or was started from other code.

    Raises:
        EngineError: It does not come up.
    """
    fingerprint = _fingerprint()
    running = running_engine(instance)
    if running is not None and running.fingerprint == fingerprint:
        step.skip(f"running on port {running.port}")
        return running
    recorded = Process.load(engine_record(instance))
    if recorded is not None:
        step.note("stopping the previous one")
        stop_engine(instance)
    empty_temporary(instance)

    listener, port = _listen(instance, recorded.port if recorded else _last_port(instance))
    token = secrets.token_urlsafe(24)
    log = instance.logs / "engine.log"
    log.unlink(missing_ok=True)
    with listener:
        command: list[str | Path] = [
            ENGINE_PYTHON, "-m", "local.serve",
            "--descriptor", str(listener.fileno()), "--info-file", instance.info_file,
        ]  # fmt: skip
        if instance.owner_pid is not None:
            command += ["--owner-pid", str(instance.owner_pid)]
        pid = spawn(
            command,
            environment={**engine_environment(instance, port), "FLOTILLA_ENGINE_TOKEN": token},
            directory=instance.temporary,
            log=log,
            keep_descriptors=[listener.fileno()],
        )
    process = Process(pid, start_of(pid) or "", fingerprint=fingerprint, token=token, port=port)
    process.save(engine_record(instance))
    (instance.run / "port").write_text(str(port), encoding="ascii")

    deadline = time.monotonic() + _START_SECONDS
    while not _control(process, "GET", "health"):
        if not process.is_alive() or time.monotonic() > deadline:
            raise EngineError(f"the engine does not start; {log} ends with:\n{_tail(log)}")
        time.sleep(_POLL_SECONDS)
    return process


def save_state(process: Process) -> bool:
    """Has the engine save its state now, so that a crash later loses only what came after."""
    return _control(process, "POST", "save", seconds=_SAVE_SECONDS)


def stop_engine(instance: Instance) -> bool:
    """Stops the engine if it runs, and removes what it left: worker processes, temporary files, its record.

    Returns:
        Whether it ended by itself and thus saved its state.
    """
    process = Process.load(engine_record(instance))
    graceful = True
    if process is not None:
        graceful = stop(process, grace_seconds=_SAVE_SECONDS) if process.is_alive() else False
        end_group(process)
        engine_record(instance).unlink(missing_ok=True)
    if instance.root.exists():
        empty_temporary(instance)
    return graceful


def engine_url(process: Process) -> str:
    """The endpoint for every AWS service."""
    return f"http://127.0.0.1:{process.port}"


def empty_temporary(instance: Instance) -> None:
    """Leaves the instance an empty temporary directory."""
    shutil.rmtree(instance.temporary, ignore_errors=True)
    instance.make_directories()


def _control(process: Process, method: str, action: str, seconds: float = _HEALTH_SECONDS) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=seconds)
    try:
        connection.request(method, f"/_flotilla/{action}", headers={"x-flotilla-token": process.token})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])


def _last_port(instance: Instance) -> int | None:
    try:
        return int((instance.run / "port").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _listen(instance: Instance, last: int | None) -> tuple[socket.socket, int]:
    """A socket bound to loopback on the wanted port, or on the next free one."""
    wanted = instance.port or last or (DEFAULT_PORT if instance.port is None else 0)
    nearby = range(wanted + 1, min(wanted + _PORTS_TO_TRY, 65536)) if wanted and instance.port != 0 else [0]
    for port in (wanted, *nearby):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(512)
        except OSError:
            listener.close()
            continue
        return listener, int(listener.getsockname()[1])
    raise EngineError(f"no free port from {wanted} on; name one with FLOTILLA_PORT")


def _fingerprint() -> str:
    """Changes with everything that an engine is started from."""
    digest = hashlib.sha256()
    parts = [ENGINE_STAMP, *(REPOSITORY / "local" / f"{name}.py" for name in _ENGINE_SOURCES)]
    for part in parts:
        digest.update(part.read_bytes() if part.exists() else b"")
    digest.update(sys.version.encode())
    return digest.hexdigest()


_ENGINE_SOURCES = (
    "serve",
    "front_door",
    "guard",
    "instance",
    "admission",
    "engine_patches",
    "engine_stepfunctions",
    "engine_maps",
    "environment",
    "processes",
)
