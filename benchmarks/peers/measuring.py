"""The three experiments on one subject: how fast, how soon, and what a killed worker costs.

Each uses tasks of its own and begins when the one before has come to rest.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from benchmarks.peers.processor_time import used_ms
from benchmarks.peers.programs.work import IO, NOTE
from benchmarks.peers.sink import Sink
from benchmarks.peers.subject import DEAD_AFTER_SECONDS, TASKS_EACH, Subject, Submitted
from benchmarks.peers.tally import Toll, answered, middle_and_tail, per_minute, toll, total
from local.progress import Progress

_PACE_SECONDS = 0.05
_LOOK_SECONDS = 0.1
_REST_MS_PER_SECOND = 100.0
_REST_LOOK_SECONDS = 0.5
_REST_SECONDS = 8.0
_IDLE_SECONDS = 2.0
_GIVE_UP_SECONDS = 120.0
# A message whose worker died before it began its task is hidden for six times its lane's timeout, which is 90 s.
_GIVE_UP_AFTER_KILL_SECONDS = 100.0
_BETWEEN_KILLS_SECONDS = 15.0
_MEND_AFTER_SECONDS = 1.0
_LATE_SECONDS = DEAD_AFTER_SECONDS + 4.0
_WARMING_TASKS = 60
_LONGEST = 300
_PATH = re.compile(r"(?<![\w.:/])/(?:[^\s/]+/)+")
_AT_WORK = TASKS_EACH // 2


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many tasks each experiment has.

    Attributes:
        killed: Of each kill.
        kills: Of each kind.
    """

    notes: int
    io: int
    paced: int
    killed: int
    kills: int


@dataclass(frozen=True, slots=True)
class Load:
    """Tasks submitted as fast as they are taken.

    Attributes:
        processor_ms: Of a task, of all processes of the system.
    """

    per_minute: float
    processor_ms: float


@dataclass(slots=True)
class Findings:
    """What was found of one subject.

    Attributes:
        loads: By workload.
        submit_ms: p50 and p95.
        end_to_end_ms: Likewise, from before the submit to the end of the task's function.
        idle_ms_per_second: Processor time while there is nothing to do.
        tolls: By what was killed.
        failures: What could not be measured, and why.
    """

    name: str
    how: str
    loads: dict[str, Load] = field(default_factory=dict)
    submit_ms: tuple[float, float] | None = None
    end_to_end_ms: tuple[float, float] | None = None
    idle_ms_per_second: float | None = None
    tolls: dict[str, Toll] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def in_short(error: Exception) -> str:
    """What went wrong, in a line that fits into a table's footnote."""
    text = _PATH.sub("…/", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text if len(text) <= _LONGEST else f'…{text[-_LONGEST:]}'}"


class Measuring:
    """Measures one started subject.

    Args:
        subject: What is measured.
        sink: What its tasks call.
        sizes: How much.
        progress: Where to say what is going on.
    """

    def __init__(self, subject: Subject, sink: Sink, sizes: Sizes, progress: Progress) -> None:
        self._subject = subject
        self._sink = sink
        self._sizes = sizes
        self._progress = progress
        self.findings = Findings(subject.name, subject.how)

    def run(self) -> None:
        """Measure everything; what fails is noted, and the rest goes on."""
        found = self.findings
        self._attempt("warming up", self._warm)
        if found.failures:
            return  # what does not do these does not do more
        self._attempt("idle", self._idle)
        self._attempt("no-op", self._notes)
        self._attempt("latency", self._latency)
        self._attempt("200 ms of I/O", self._io)
        for what in self._subject.kills:
            self._attempt(f"kill -9 of {what}", lambda what=what: found.tolls.update({what: self._kills(what)}))  # type: ignore[misc]

    def _attempt(self, what: str, measure: Callable[[], object]) -> None:
        with self._progress.step(f"{self.findings.name}: {what}") as step:
            try:
                measure()
            except Exception as error:  # noqa: BLE001 - one subject's failure is a result too
                step.note("failed")
                self.findings.failures.append(f"{what}: {in_short(error)}")

    def _warm(self) -> None:
        self._wait(self._subject.submit(NOTE, _keys(_WARMING_TASKS)))
        self._wait_for_answers(self._subject.submit(IO, _keys(_WARMING_TASKS)), _GIVE_UP_SECONDS)
        self._rest()

    def _idle(self) -> None:
        before, began = used_ms(self._subject.roots()), time.monotonic()
        time.sleep(_IDLE_SECONDS)
        spent = used_ms(self._subject.roots()) - before
        self.findings.idle_ms_per_second = spent / (time.monotonic() - began)

    def _notes(self) -> None:
        before = used_ms(self._subject.roots())
        submitted = self._subject.submit(NOTE, _keys(self._sizes.notes))
        self._wait(submitted)
        self._rest()
        spent = used_ms(self._subject.roots()) - before
        last_ms = max(self._subject.ends(submitted).values())
        self._keep(NOTE, submitted, last_ms, spent)

    def _latency(self) -> None:
        submitted = self._subject.submit(NOTE, _keys(self._sizes.paced), pace_seconds=_PACE_SECONDS)
        self._wait(submitted)
        ends = self._subject.ends(submitted)
        self.findings.submit_ms = middle_and_tail([each.ended_ms - each.began_ms for each in submitted])
        self.findings.end_to_end_ms = middle_and_tail([ends[each.key] - each.began_ms for each in submitted])
        self._rest()

    def _io(self) -> None:
        before = used_ms(self._subject.roots())
        submitted = self._subject.submit(IO, _keys(self._sizes.io))
        last_ms = self._wait_for_answers(submitted, _GIVE_UP_SECONDS)
        self._rest()
        self._keep(IO, submitted, last_ms, used_ms(self._subject.roots()) - before)

    def _keep(self, workload: str, submitted: Sequence[Submitted], last_ms: float, spent_ms: float) -> None:
        rate = per_minute(len(submitted), min(each.began_ms for each in submitted), last_ms)
        self.findings.loads[workload] = Load(rate, spent_ms / len(submitted))

    def _kills(self, what: str) -> Toll:
        """Kill some, one after the other; then wait until nothing more can come late."""
        killed = [self._kill(what) for _ in range(self._sizes.kills)]
        self._wait_until_answered({key for keys, _ in killed for key in keys}, _GIVE_UP_AFTER_KILL_SECONDS)
        time.sleep(_LATE_SECONDS)
        requests = self._sink.requests()
        return total([toll(requests, keys, killed_ms) for keys, killed_ms in killed])

    def _kill(self, what: str) -> tuple[list[str], float]:
        """Submit, kill when a third is done, start again what was killed: the tasks' keys, and when it was killed."""
        known = {request.key for request in self._sink.requests()}
        with ThreadPoolExecutor(max_workers=1) as pool:
            submitting = pool.submit(self._subject.submit, IO, _keys(self._sizes.killed))
            self._wait_for_load(known)
            self._subject.kill(what)
            killed_ms = time.time() * 1000  # noqa: TID251 - compared with other processes' times
            time.sleep(_MEND_AFTER_SECONDS)
            self._subject.mend()
            keys = [self._subject.effect_key(each) for each in submitting.result()]
        self._wait_until_answered(keys, _BETWEEN_KILLS_SECONDS)
        return keys, killed_ms

    def _wait_until_answered(self, keys: Collection[str], seconds: float) -> None:
        """Until all of them have been done to the end, or the time is up."""
        give_up = time.monotonic() + seconds
        while len(answered(self._sink.requests(), keys)) < len(keys) and time.monotonic() < give_up:
            time.sleep(_LOOK_SECONDS)

    def _wait_for_load(self, known: Collection[str]) -> None:
        """Until a third is done and several are at work at once, or two thirds are done."""
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        while True:
            new = [each for each in self._sink.requests() if each.key not in known]
            done = sum(each.answered_ms is not None for each in new)
            at_work = len(new) - done
            if done * 3 >= self._sizes.killed and (at_work >= _AT_WORK or done * 3 >= self._sizes.killed * 2):
                return
            if time.monotonic() > deadline:
                raise TimeoutError("a third was not done in time")
            time.sleep(_LOOK_SECONDS / 2)

    def _wait(self, submitted: Collection[Submitted]) -> None:
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        while not self._subject.has_run(submitted):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all of {len(submitted)} tasks were run in {_GIVE_UP_SECONDS:.0f} s")
            time.sleep(_LOOK_SECONDS)

    def _wait_for_answers(self, submitted: Sequence[Submitted], seconds: float) -> float:
        """When the last of them was answered for the first time."""
        keys = {self._subject.effect_key(each) for each in submitted}
        deadline = time.monotonic() + seconds
        while True:
            requests = self._sink.requests()
            if answered(requests, keys) == keys:
                return max(each.answered_ms or 0.0 for each in requests if each.key in keys)
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all of {len(keys)} tasks were run in {seconds:.0f} s")
            time.sleep(_LOOK_SECONDS)

    def _rest(self) -> None:
        """Until acknowledgements and what follows a task are done with too; what they take counts."""
        # A little more than it uses while it has nothing to do.
        rest_ms = (1.5 * (self.findings.idle_ms_per_second or 0.0) + _REST_MS_PER_SECOND) * _REST_LOOK_SECONDS
        deadline = time.monotonic() + _REST_SECONDS
        while time.monotonic() < deadline:
            before = used_ms(self._subject.roots())
            time.sleep(_REST_LOOK_SECONDS)
            if used_ms(self._subject.roots()) - before < rest_ms:
                return


def _keys(count: int) -> list[str]:
    run = secrets.token_hex(4)
    return [f"{run}-{number}" for number in range(count)]
