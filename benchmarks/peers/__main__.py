"""Other people's task queues and Flotilla, measured one after the other on this machine.

`python -m benchmarks.peers [--only NAME]… [--tasks N] [--kills N]`. Everything runs on loopback, in a
directory that goes with it. What a subject needs and is not there is said in the result; nothing is installed but the
peers' Python packages.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers.environment import MissingError, install
from benchmarks.peers.measuring import Findings, Measuring, Sizes, in_short
from benchmarks.peers.report import body
from benchmarks.peers.sink import Sink
from benchmarks.peers.subject import Subject
from benchmarks.peers.subjects.celery_redis import CeleryOnRedis
from benchmarks.peers.subjects.celery_sqs import CeleryOnSqs
from benchmarks.peers.subjects.dbos_postgres import Dbos
from benchmarks.peers.subjects.flotilla_engine import Flotilla
from benchmarks.peers.subjects.pgqueuer_postgres import PgQueuer
from benchmarks.peers.subjects.procrastinate_postgres import Procrastinate
from benchmarks.report import publish
from local.progress import Progress

SUBJECTS: dict[str, Callable[[Path, str], Subject]] = {
    "celery-redis": CeleryOnRedis,
    "celery-sqs": CeleryOnSqs,
    "procrastinate": Procrastinate,
    "pgqueuer": PgQueuer,
    "dbos": Dbos,
    "flotilla": Flotilla,
}

_TASKS, _MOST_TASKS = 2000, 5000
_KILLS, _MOST_KILLS = 3, 10


def main() -> int:
    """Measure, print and keep the result; 1 where anything could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="measure this one; may be repeated")
    parser.add_argument("--tasks", type=int, default=_TASKS, help=f"no-op tasks of each (default {_TASKS})")
    parser.add_argument("--kills", type=int, default=_KILLS, help=f"kills of each kind (default {_KILLS})")
    options = parser.parse_args()
    tasks = min(max(options.tasks, 30), _MOST_TASKS)
    sizes = Sizes(
        notes=tasks,
        io=tasks * 3 // 5,
        paced=min(100, tasks),
        killed=max(90, tasks // 5),
        kills=min(max(options.kills, 1), _MOST_KILLS),
    )
    names = [name for name in SUBJECTS if name in (options.only or SUBJECTS)]
    # What was started is stopped, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    progress = Progress()
    refused: str | None = None
    try:
        install(progress)
    except MissingError as error:
        refused = str(error)
    with Sink() as sink:
        findings = [_measure(name, sink, sizes, progress, refused) for name in names]
    publish(__file__, "Beside other task queues", body(findings, sizes, short=tasks < _TASKS or sizes.kills < _KILLS))
    return int(any(each.failures for each in findings))


def _measure(name: str, sink: Sink, sizes: Sizes, progress: Progress, refused: str | None) -> Findings:
    directory = Path(tempfile.mkdtemp(prefix=f"peers-{name}-"))
    directory.chmod(0o711)  # a server that does not run as this user has its own directory below
    subject = SUBJECTS[name](directory, sink.url)
    findings = Findings(subject.name, subject.how)
    if refused and name != "flotilla":
        findings.failures.append(refused)
        return findings
    try:
        with progress.step(f"{subject.name}: start"):
            subject.start()
        measuring = Measuring(subject, sink, sizes, progress)
        findings = measuring.findings
        measuring.run()
    except Exception as error:  # noqa: BLE001 - the others are measured all the same
        findings.failures.append(str(error) if isinstance(error, MissingError) else f"start: {in_short(error)}")
    finally:
        with progress.step(f"{subject.name}: stop"):
            subject.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return findings


if __name__ == "__main__":
    sys.exit(main())
