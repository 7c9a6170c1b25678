"""The engine process: MiniStack behind the guard, on a socket that the parent opened on loopback.

Runs in the engine's own virtual environment. Ends on SIGTERM with its state saved and its workers gone. It opens no
socket by itself, so it cannot listen anywhere else than where it was told to.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

from local import engine_patches
from local.admission import Window
from local.front_door import FrontDoor
from local.guard import App, Guard, Message, Receive, Scope, Send
from local.processes import start_of

CONTROL_PATH = "/_flotilla/"
_OWNER_CHECK_SECONDS = 2.0
# The event sources keep their connections; a server that closes an idle one races with the next request on it.
_KEEP_ALIVE_SECONDS = 3600.0


def control(engine: App, *, token: str) -> App:
    """Puts two private paths before the engine: `/_flotilla/health`, and `/_flotilla/save` to save its state now."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not str(scope["path"]).startswith(CONTROL_PATH):
            await engine(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name.lower() == b"x-flotilla-token"), b"")
        action = str(scope["path"]).removeprefix(CONTROL_PATH)
        if not hmac.compare_digest(given, token.encode()):
            await _answer(send, 403, {"error": "wrong token"})
        elif action == "health":
            await _answer(send, 200, {"pid": os.getpid()})
        elif action == "save" and scope["method"] == "POST":
            _save_state()
            await _answer(send, 200, {"saved": True})
        else:
            await _answer(send, 404, {"error": "no such path"})

    return app


async def _answer(send: Send, status: int, record: dict[str, Any]) -> None:
    body = json.dumps(record).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _save_state() -> None:
    """On the event loop, so that no request changes what is being written."""
    from ministack import app as ministack
    from ministack.core.persistence import save_all

    save_all(ministack._build_persistence_save_dict())  # noqa: SLF001 -- what its own shutdown does


async def _stop_signal(owner_pid: int) -> None:
    """Returns when the process is told to end, or its owner is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    owner = start_of(owner_pid) if owner_pid else None
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), _OWNER_CHECK_SECONDS if owner_pid else None)
        except TimeoutError:
            if start_of(owner_pid) != owner:
                return


def main() -> None:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m local.serve")
    parser.add_argument("--descriptor", type=int, required=True, help="a bound socket, handed over by the parent")
    parser.add_argument("--info-file", type=Path, required=True, help="where the deployed API is written down")
    parser.add_argument("--owner-pid", type=int, default=0, help="end when this process is gone")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")

    # How we were found; a function must find its own code only.
    os.environ.pop("PYTHONPATH", None)
    engine_patches.apply()
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app as ministack
    from ministack.core import lambda_runtime

    config = Config()
    config.bind = [f"fd://{arguments.descriptor}"]
    config.keep_alive_timeout = _KEEP_ALIVE_SECONDS
    config.graceful_timeout = 1.0
    config.loglevel = "WARNING"
    config.accesslog = None
    controlled = control(ministack, token=os.environ.pop("FLOTILLA_ENGINE_TOKEN"))
    cores = os.cpu_count() or 1
    guarded = Guard(controlled, Window(first=max(2, cores), most=max(8, 4 * cores)))
    app = FrontDoor(guarded, arguments.info_file)
    try:
        asyncio.run(serve(app, config, shutdown_trigger=lambda: _stop_signal(arguments.owner_pid)))
    finally:
        lambda_runtime.reset()


if __name__ == "__main__":
    main()
