"""Runs histories from the command line.

python -m tests.simulation --seed 7                 tell one history, step by step
python -m tests.simulation --seeds 100000 --from 0  many, on all cores
python -m tests.simulation --minutes 30             as many as there is time for
python -m tests.simulation --fault NAME --seed 7    the same with a planted fault
"""

from __future__ import annotations

import argparse
import logging
import sys

from tests.simulation.planted import FAULTS
from tests.simulation.run import run_seed
from tests.simulation.soak import soak
from tests.simulation.telling import tell

_NEW = 1_000_000
"""From here on are seeds that the tests do not run."""


def main(arguments: list[str]) -> int:
    """1 where a rule was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="tell this history")
    parser.add_argument("--seeds", type=int, help="run so many histories")
    parser.add_argument("--from", dest="first", type=int, default=_NEW, help="the first of their seeds")
    parser.add_argument("--minutes", type=float, help="begin none after so long")
    parser.add_argument("--fault", choices=sorted(FAULTS), help="plant this fault")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        logging.disable(logging.CRITICAL)  # the trace says it all
        roles = FAULTS[options.fault].roles if options.fault else None
        outcome = run_seed(options.seed, traced=True, roles=roles)
        tell(outcome, sys.stdout)
        return bool(outcome.violations)
    count = options.seeds if options.seeds is not None else 100_000 if options.minutes is None else 10**9
    return not soak(count, options.first, options.minutes, options.fault, sys.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
