"""What is said while things go on."""

from __future__ import annotations

import io

import pytest

from local.progress import Progress


def said(stream: io.StringIO) -> list[str]:
    return [line.split("s  ", 1)[-1] for line in stream.getvalue().splitlines()]


def test_each_step_ends_in_a_line() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    with progress.step("first"):
        pass
    with progress.step("second") as step:
        step.skip("unchanged")
    assert said(stream) == ["first", "second  (unchanged)"]


def test_a_step_with_nothing_to_do_and_nothing_to_say_is_silent() -> None:
    stream = io.StringIO()
    with Progress(stream).step("nothing") as step:
        step.skip()
    assert said(stream) == []


def test_a_failed_step_is_marked_and_its_error_goes_on() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="broken"), Progress(stream).step("doomed"):
        raise ValueError("broken")
    assert stream.getvalue().lstrip().startswith("✗")
