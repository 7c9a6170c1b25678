"""Which breaker wastes the fewest calls, and what it costs.

    python -m benchmarks.fault_lab.breakers            # everything, about ten minutes
    python -m benchmarks.fault_lab.breakers --small    # fleets of 1, 10 and 100

The first run installs the peers' packages into a folder of their own (`benchmarks/fault_lab/requirements.txt`).
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.fault_lab.breakers.measure import breakers
from benchmarks.fault_lab.peers import install


def main() -> int:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fault_lab.breakers", description=__doc__)
    parser.add_argument("--small", action="store_true", help="leave out the fleets of 1,000 environments")
    parser.add_argument("--engine-up-to", type=int, default=100, help="largest fleet whose store is the engine")
    arguments = parser.parse_args()
    install()
    breakers((1, 10, 100) if arguments.small else (1, 10, 100, 1000), arguments.engine_up_to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
