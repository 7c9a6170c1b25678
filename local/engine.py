"""Brings an instance up, and takes it down.

`up` may be called in any state, again and again: it looks at what there is and does what is missing. It starts nothing
that `down` does not stop. Neither installs anything; see `local.install`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from local.deployment import bootstrap, deploy, outputs
from local.engine_process import engine_is_current, engine_url, running_engine, save_state, start_engine, stop_engine
from local.event_sources_process import start_event_sources, stop_event_sources
from local.instance import Instance, LocalInfo
from local.keys import OPERATOR, TENANT, ensure_key
from local.progress import Progress
from local.readiness import prewarm, wait_until_ready
from local.synthesis import synthesize


def up(instance: Instance, progress: Progress | None = None) -> LocalInfo:
    """Makes the instance run the application as it is now.

    Args:
        instance: What to bring up.
        progress: Where to say what is going on; by default on standard error.

    Returns:
        Where it is and with which keys, as written to the instance's `local.json`.

    Raises:
        EngineError: The engine does not start.
        DeploymentError: The application does not synthesize or deploy.
        NotReadyError: The application is deployed and does not become ready.
    """
    progress = progress or Progress()
    instance.make_directories()
    with _one_at_a_time(instance), ThreadPoolExecutor(max_workers=1) as pool:

        def synthesize_with_progress() -> Path:
            with progress.step("synthesize the application") as step:
                return synthesize(instance, step)

        assembly = pool.submit(synthesize_with_progress)
        if not engine_is_current(instance):
            # They must not outlive the engine they serve: what they are at would be lost with it.
            stop_event_sources(instance)
        with progress.step("start the engine") as step:
            engine = start_engine(instance, step)
            freshly_started = not step.skipped
        url = engine_url(engine)
        if instance.port and instance.port != engine.port:
            why = f"port {instance.port} is taken" if freshly_started else "it ran already"
            progress.say(f"    {why}, so the engine is on port {engine.port}")
        with progress.step("prepare it for the CDK") as step:
            bootstrap(instance, url, step)
        cloud_assembly = assembly.result()
        with progress.step("deploy the application") as step:
            changed = deploy(instance, url, cloud_assembly, step)
        if changed:
            save_state(engine)
        with progress.step("start the event sources") as step:
            start_event_sources(instance, url, step)
        info = _write_info(instance, url)
        if changed or freshly_started:
            with progress.step("start a few workers") as step:
                prewarm(info, step)
        with progress.step("wait until it is ready") as step:
            wait_until_ready(info.api_url, step)
        return info


def down(instance: Instance, progress: Progress | None = None) -> None:
    """Stops all that `up` started; the state is kept for the next time."""
    progress = progress or Progress()
    if not instance.run.exists():
        return
    with _one_at_a_time(instance):
        with progress.step("stop the event sources"):
            stop_event_sources(instance)
        with progress.step("save the state and stop the engine") as step:
            if running_engine(instance) is None:
                step.note("it was not running")
            stop_engine(instance)
        shutil.rmtree(instance.temporary, ignore_errors=True)


def forget(instance: Instance, progress: Progress | None = None) -> None:
    """Stops the instance and removes all that it kept."""
    down(instance, progress)
    shutil.rmtree(instance.root, ignore_errors=True)


def _write_info(instance: Instance, url: str) -> LocalInfo:
    deployed = outputs(instance)
    former = LocalInfo.load(instance.info_file)
    now_ms = time.time_ns() // 1_000_000  # noqa: TID251 -- a command, not the runtime: there is no clock to be given
    keys = [
        ensure_key(
            holder,
            current=current,
            engine_url=url,
            control_table=deployed["ControlTable"],
            now_ms=now_ms,
        )
        for holder, current in (
            (OPERATOR, former.operator_key if former else None),
            (TENANT, former.tenant_key if former else None),
        )
    ]
    info = LocalInfo(
        api_url=url,  # see `local.front_door`
        operator_key=keys[0],
        tenant_key=keys[1],
        engine_url=url,
        outputs=deployed,
    )
    info.save(instance.info_file)
    return info


@contextmanager
def _one_at_a_time(instance: Instance) -> Iterator[None]:
    """Keeps two commands from working on one instance at once; the second waits."""
    lock = os.open(instance.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
