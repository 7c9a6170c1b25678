"""The CDK side of Flotilla: what is deployed, and how it is built.

Imports nothing of the runtime, and the runtime imports nothing of this. Importing this package comes before
importing `aws_cdk`: the CDK library starts Node as soon as it is imported, and which Node is said here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def _prefer_bundled_node() -> None:
    """Makes the CDK library run the Node that is installed beside this interpreter, where there is one."""
    node = Path(sys.executable).parent / "node"
    if node.exists():
        os.environ.setdefault("JSII_NODE", str(node))


_prefer_bundled_node()
