"""Starts and stops the event sources process of an instance."""

from __future__ import annotations

import hashlib
from pathlib import Path

from local.environment import ENGINE_PYTHON, event_sources_environment
from local.install import ENGINE_STAMP
from local.instance import REPOSITORY, Instance
from local.processes import Process, spawn, start_of, stop
from local.progress import Step

# It waits for invocations that run, and for a long poll; then it has what it needs to end.
_STOP_SECONDS = 15.0


def start_event_sources(instance: Instance, engine_url: str, step: Step) -> None:
    """Makes the event sources run against `engine_url`; replaces those of other code or of another engine."""
    fingerprint = _fingerprint(engine_url)
    running = Process.load(event_sources_record(instance))
    if running is not None and running.fingerprint == fingerprint and running.is_alive():
        step.skip("running")
        return
    stop_event_sources(instance)
    command: list[str | Path] = [
        ENGINE_PYTHON, "-m", "local.event_sources", "--engine-url", engine_url, "--checkpoints", instance.checkpoints,
    ]  # fmt: skip
    if instance.owner_pid is not None:
        command += ["--owner-pid", str(instance.owner_pid)]
    log = instance.logs / "event-sources.log"
    log.unlink(missing_ok=True)
    environment = event_sources_environment(instance)
    pid = spawn(command, environment=environment, directory=instance.temporary, log=log)
    Process(pid, start_of(pid) or "", fingerprint=fingerprint).save(event_sources_record(instance))


def stop_event_sources(instance: Instance) -> None:
    """Stops them if they run, once the invocations that run are done or the time for that is up."""
    process = Process.load(event_sources_record(instance))
    if process is not None:
        stop(process, grace_seconds=_STOP_SECONDS)
        event_sources_record(instance).unlink(missing_ok=True)


def event_sources_record(instance: Instance) -> Path:
    """Where the running event sources are recorded."""
    return instance.run / "event-sources.json"


def _fingerprint(engine_url: str) -> str:
    digest = hashlib.sha256(engine_url.encode())
    sources = sorted((REPOSITORY / "local" / "event_sources").glob("*.py"))
    for part in (ENGINE_STAMP, *sources, *(REPOSITORY / "local" / name for name in ("clients.py", "processes.py"))):
        digest.update(part.read_bytes() if part.exists() else b"")
    return digest.hexdigest()
