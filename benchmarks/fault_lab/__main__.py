"""Runs every part of the fault lab, one after the other; each writes its section of `results.md`.

python -m benchmarks.fault_lab
"""

from __future__ import annotations

import subprocess
import sys

_PARTS = ("benchmarks.fault_lab.limits", "benchmarks.fault_lab.breakers")


def main() -> int:
    """Run the parts; how many failed."""
    return sum(subprocess.run([sys.executable, "-m", part], check=False).returncode != 0 for part in _PARTS)


if __name__ == "__main__":
    sys.exit(main())
