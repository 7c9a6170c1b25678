"""A message points to the line that is to be changed."""

from __future__ import annotations

import pytest

from stacks.toml_lines import line_of

TEXT = """\
name = "x"

[lanes.critical]
timeout_seconds = 60
  memory_mb = 512

[agents."document.analyze"]
lane = "batch"
[ agents . 'a.b' ]
api.burst = 3
[local]
lanes.batch = { batch_size = 1 }
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 1),
        (("lanes", "critical"), 3),
        (("lanes", "critical", "timeout_seconds"), 4),
        (("lanes", "critical", "memory_mb"), 5),
        (("agents", "document.analyze", "lane"), 8),
        (("agents", "a.b", "api", "burst"), 10),
        (("local", "lanes", "batch", "batch_size"), 12),
        (("lanes", "critical", "missing"), 3),
        (("missing",), None),
        ((), None),
    ],
)
def test_the_line_of_a_key_or_of_what_is_around_it(path: tuple[str, ...], line: int | None) -> None:
    assert line_of(TEXT, path) == line
