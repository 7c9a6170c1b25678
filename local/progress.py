"""Says what is going on, so that no long step looks hung.

One line per finished step with its seconds. While steps run, a terminal shows them in a line that is rewritten;
anything else gets a heartbeat line now and then. Safe to use from several threads.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_TERMINAL_REFRESH_SECONDS = 0.5
_HEARTBEAT_SECONDS = 10.0


class Step:
    """A running step; `note` replaces the words shown behind its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.detail = ""
        self.skipped = False
        self.started = time.monotonic()

    def note(self, detail: str) -> None:
        """Shows `detail` beside the step, at once on a terminal and at the next heartbeat elsewhere."""
        self.detail = detail.strip()

    def skip(self, reason: str = "") -> None:
        """Ends the step as one that had nothing to do; without a reason not a word is said about it."""
        self.detail = reason
        self.skipped = True

    @property
    def elapsed_seconds(self) -> float:
        """For how long it has run."""
        return time.monotonic() - self.started


class Progress:
    """Prints steps to a stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._terminal = self._stream.isatty()
        self._lock = threading.RLock()
        self._running: list[Step] = []
        self._ticker: threading.Thread | None = None
        self._line_shown = False

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Runs the body as a step: shown while it runs, one line when it ends, well or badly."""
        step = Step(name)
        with self._lock:
            self._running.append(step)
            if self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
                self._ticker.start()
        try:
            yield step
        except BaseException:
            self._finish(step, "✗")
            raise
        self._finish(step, "·" if step.skipped else "✓")

    def say(self, text: str) -> None:
        """Prints one line of its own."""
        with self._lock:
            self._clear()
            self._stream.write(text + "\n")
            self._stream.flush()

    def _finish(self, step: Step, mark: str) -> None:
        with self._lock:
            self._running.remove(step)
            if step.skipped and not step.detail:
                return
            elapsed = f"{step.elapsed_seconds:6.1f} s"
            suffix = f"  ({step.detail})" if step.skipped else ""
            self.say(f"  {mark} {elapsed}  {step.name}{suffix}")

    def _tick(self) -> None:
        period = _TERMINAL_REFRESH_SECONDS if self._terminal else _HEARTBEAT_SECONDS
        tick = threading.Event()
        while not tick.wait(period):
            with self._lock:
                if not self._running:
                    self._ticker = None
                    return
                if self._terminal:
                    self._show_line()
                else:
                    for step in self._running:
                        detail = f": {step.detail}" if step.detail else ""
                        self.say(f"    {step.elapsed_seconds:6.0f} s  {step.name}{detail}")

    def _show_line(self) -> None:
        parts = [
            f"{step.name} {step.elapsed_seconds:.0f} s" + (f" ({step.detail})" if step.detail else "")
            for step in self._running
        ]
        self._stream.write("\r\x1b[2K    … " + " · ".join(parts)[:110])
        self._stream.flush()
        self._line_shown = True

    def _clear(self) -> None:
        if self._line_shown:
            self._stream.write("\r\x1b[2K")
            self._line_shown = False
