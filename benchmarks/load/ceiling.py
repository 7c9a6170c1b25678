"""What the harness itself can send: `python -m benchmarks.load.ceiling`.

To a server on this machine that accepts everything at once and does nothing, in a process of its own. Above the rate at
which sends are late here, what is measured elsewhere is the harness.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.load.histogram import Histogram
from benchmarks.load.open_loop import drive
from benchmarks.load.schedule import offsets
from benchmarks.load.submitting import ACCEPTED, Submitting
from benchmarks.load.wire import Wire
from benchmarks.report import machine, table

RATES = (100, 200, 400, 800, 1200, 1600)
_SECONDS = 5.0
_CONNECTIONS = 64
_ANSWER = b'{"id":"tsk_1","created_at":"2030-01-01T00:00:00.000Z"}'


async def _serve() -> None:
    head = f"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: {len(_ANSWER)}\r\n\r\n"
    answer = head.encode() + _ANSWER

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
                await reader.readexactly(length)
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def trivial_server() -> Iterator[str]:
    """The address of a server that accepts everything."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load.ceiling", "--serve"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def measured(url: str, rate: float, seconds: float = _SECONDS) -> tuple[Histogram, Histogram, float, int]:
    """How late sends were, the latencies, the processor time of one request in milliseconds, and the failures."""
    async with Wire(url, {"authorization": "Bearer none"}, connections=_CONNECTIONS) as wire:
        submitting = Submitting(wire, {"agent": "flotilla.canary", "input": {"value": 1}}, "ceiling")
        due = offsets("poisson", rate=rate, seconds=seconds, seed=1)
        spent = time.process_time()
        samples = await drive(
            due, submitting, connections=_CONNECTIONS, begin=time.monotonic() + 0.2, now=time.monotonic
        )
        spent = time.process_time() - spent
    failed = sum(sample.outcome.word != ACCEPTED for sample in samples)
    late = Histogram.of_ms(sample.late * 1000 for sample in samples)
    return late, Histogram.of_ms(sample.latency_ms for sample in samples), spent / len(samples) * 1000, failed


def ceiling() -> str:
    """A table of what can be sent."""
    rows = []
    with trivial_server() as url:
        for rate in RATES:
            late, latency, spent_ms, failed = asyncio.run(measured(url, rate))
            cells = (
                late.percentile_ms(50),
                late.percentile_ms(99),
                latency.percentile_ms(50),
                latency.percentile_ms(99),
            )
            rows.append([str(rate), *(f"{cell or 0:.1f}" for cell in cells), f"{spent_ms:.2f}", str(failed)])
    heading = ["rate a second", "late p50 ms", "late p99 ms", "latency p50 ms", "latency p99 ms", "CPU ms", "failed"]
    return table(heading, rows)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        asyncio.run(_serve())
    else:
        print(f"Measured on: {machine()}.\n\n{ceiling()}")
