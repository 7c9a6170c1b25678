"""Builds what is deployed: two layers and a package per function, without Docker and always the same from the same."""

from __future__ import annotations

from stacks.bundling.bundles import Bundles, make_bundles
from stacks.bundling.process import BundlingError

__all__ = ["Bundles", "BundlingError", "make_bundles"]
