from __future__ import annotations

import pytest

from local.engine_patches import niceness_of


@pytest.mark.parametrize("name", ["flotilla-api", "flotilla-authorizer", "flotilla-worker-critical"])
def test_what_somebody_waits_for_goes_first(name: str) -> None:
    assert niceness_of(name) == 0


@pytest.mark.parametrize("name", ["flotilla-worker-batch", "flotilla-projector", "api", "some-other"])
def test_all_else_stands_back(name: str) -> None:
    assert niceness_of(name) > 0
