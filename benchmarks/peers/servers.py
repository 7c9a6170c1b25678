"""Servers of the peers' own, on loopback and on a free port, in a directory that goes with them.

Each is stopped by its process id. Both write what they have accepted to the disk before they answer.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.environment import Account, postgres_folder, redis_server, unprivileged

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05


class ServerError(RuntimeError):
    """A server does not start; the message ends with what it said."""


class Server:
    """A running server.

    Attributes:
        url: How clients name it.
        pid: Of its first process.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str, port: int, log: Path) -> None:
        self.url = url
        self.pid = process.pid
        self._process = process
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServerError(f"{log.stem} does not start: {log.read_text(encoding='utf-8')[-500:]}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop it, without care for what it holds."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_STOP_SECONDS)


def start_redis(directory: Path) -> Server:
    """Redis with an append-only file that is synced before every answer.

    Raises:
        MissingError: It is not installed.
        ServerError: It does not start.
    """
    port = _free_port()
    log = directory / "redis.log"
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    command = [redis_server(), *(word for name, value in options.items() for word in (f"--{name}", value))]
    return Server(_spawn(command, log), f"redis://127.0.0.1:{port}/0", port, log)


def start_postgres(directory: Path) -> Server:
    """A cluster of PostgreSQL with its defaults: every commit is on the disk before it is answered.

    Raises:
        MissingError: It is not installed.
        ServerError: It does not start.
    """
    account, folder, port = unprivileged(), postgres_folder(), _free_port()
    home = directory / "postgres"
    home.mkdir(mode=0o700)
    os.chown(home, account.user, account.group)
    password, secret = secrets.token_hex(16), home / "password"
    secret.write_text(password, encoding="ascii")
    os.chown(secret, account.user, account.group)
    data, log = home / "data", directory / "postgres.log"
    making = [folder / "initdb", "--pgdata", data, "--username", "peers", "--auth", "scram-sha-256"]
    made = _spawn([*map(str, making), "--pwfile", str(secret), "--encoding", "UTF8"], log, account)
    if made.wait(_START_SECONDS * 2):
        raise ServerError(f"initdb fails: {log.read_text(encoding='utf-8')[-500:]}")
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "on", "max_connections": "200"}
    command = [str(folder / "postgres"), "-D", str(data), "-p", str(port)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    url = f"postgresql://peers:{password}@127.0.0.1:{port}/postgres"
    return Server(_spawn(command, log, account), url, port, log)


def _spawn(command: Sequence[str], log: Path, account: Account | None = None) -> subprocess.Popen[bytes]:
    change = account is not None and os.geteuid() == 0
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            cwd="/",
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.user if account and change else None,
            group=account.group if account and change else None,
            extra_groups=[] if change else None,
        )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
