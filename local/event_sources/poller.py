"""What every event source is: a thread that polls until it is told to stop."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class Poller(ABC):
    """A named daemon thread around `poll`.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, name=name, daemon=True)

    @abstractmethod
    def _poll(self) -> None:
        """Polls until `_stopping` is set."""

    def start(self) -> None:
        """Starts to poll."""
        self._thread.start()

    def request_stop(self) -> None:
        """Takes up nothing more; what was taken up is finished."""
        self._stopping.set()

    def join(self, timeout_seconds: float) -> None:
        """Waits until it has stopped."""
        self._thread.join(timeout_seconds)

    def is_alive(self) -> bool:
        """Whether it polls."""
        return self._thread.is_alive()
