"""The event sources process: `python -m local.event_sources`, in the engine's virtual environment.

Ends on SIGTERM after the invocations that run, or when its owner is gone.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from local.event_sources.coordinator import Coordinator
from local.processes import start_of

_GRACE_SECONDS = 10.0
_OWNER_CHECK_SECONDS = 2.0

# A thread whose answer has come waits so long, and not ten times as long, for one that is at work.
_SWITCH_SECONDS = 0.0005

_ENDINGS = frozenset({signal.SIGTERM, signal.SIGINT})


def _end_with_owner(owner_pid: int) -> None:
    owner = start_of(owner_pid)
    pause = threading.Event()
    while start_of(owner_pid) == owner:
        pause.wait(_OWNER_CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serves the engine's mappings until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m local.event_sources")
    parser.add_argument("--engine-url", required=True)
    parser.add_argument("--checkpoints", type=Path, required=True, help="directory for stream checkpoints")
    parser.add_argument("--owner-pid", type=int, default=0, help="end when this process is gone")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(threadName)s %(levelname)s %(message)s")

    sys.setswitchinterval(_SWITCH_SECONDS)
    # Blocked in every thread and waited for below: a handler that set an event could meet the lock of that event.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    coordinator = Coordinator(arguments.engine_url, checkpoints=arguments.checkpoints)
    finished: list[bool] = []

    def serve() -> None:
        try:
            finished.append(coordinator.run(grace_seconds=_GRACE_SECONDS))
        finally:
            # Should it ever fail, the process ends, and `up` starts another.
            os.kill(os.getpid(), signal.SIGTERM)

    serving = threading.Thread(target=serve, name="coordinator")
    serving.start()
    if arguments.owner_pid:
        threading.Thread(target=_end_with_owner, args=(arguments.owner_pid,), name="owner", daemon=True).start()
    signal.sigwait(_ENDINGS)
    coordinator.request_stop()
    serving.join()
    if finished != [True]:
        # Pool threads would be waited for at a normal exit, for as long as a function may run.
        os._exit(0)


if __name__ == "__main__":
    main()
