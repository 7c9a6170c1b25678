"""The state machine of a circuit, shared by every environment of a fleet.

                    ┌────────────── manual close, auto ──────────────┐
                    v                                                │
    closed ── surely failing or slow ──> open ── cooldown over ──> half_open
       ^                                  ^ ^                        │    │
       │                                  │ └── a probe failed ──────┘    │ enough probes succeeded
       └── ramp over ── ramping <─────────┼───────────────────────────────┘
                           └── failing ───┘   each time it opens anew with a longer cooldown

Every step makes a record whose version is one higher than the one it was made from. Who stores it first has made it;
the others learn what it was. Steps that the record does not allow (any more) are None: a late answer moves nothing.

Time and randomness are passed in; times are milliseconds since the epoch, random numbers uniform over [0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from flotilla.primitives.circuit_policy import CircuitPolicy

FORCED_LOOK_MS = 20_000
"""About how often work that an operator holds up comes to look again."""

FIRST_SHARE = 0.1
"""Of the calls that a ramp lets through at its start."""

_RAMP_PART_OF_COOLDOWN = 0.25
_SHORTEST_RAMP_MS = 1_000
_LONGEST_RAMP_MS = 15_000
_HALF_OPEN_LOOK_MS = 1_000
_LARGEST_EXPONENT = 32


class CircuitState(StrEnum):
    """Where a circuit is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    RAMPING = "ramping"


class CircuitMode(StrEnum):
    """Who decides: the circuit itself, or an operator until further notice."""

    AUTO = "auto"
    OPEN = "open"
    CLOSED = "closed"


class CallOutcome(StrEnum):
    """What a call says about the health of what was called. The caller knows; the circuit does not guess.

    A refusal that is the caller's own fault (a 404), or asks it to slow down (a 429), comes from something that works.
    """

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CircuitRecord:
    """All that is stored of a circuit besides its counts. The default is a circuit that nothing ever happened to.

    Attributes:
        version: How many steps it has made.
        state: Where it is.
        mode: Who decides.
        since_ms: When it came to this state.
        until_ms: When the cooldown or ramp ends; 0 where neither is on.
        cooldown_ms: The last cooldown, which the next follows from.
        opened_at_ms: When the trouble began that it has not got over yet; 0 when closed.
        counts_from_ms: Calls before this say nothing any more.
        episode: How often it has opened: probes of an earlier opening do not count.
        passed: Probes that have succeeded since it is half-open.
        reason: Why it opened or was forced.
        by: Who made the step: an environment or an operator.
        usual_per_minute: Calls that the fleet made before it opened; 0 where that is not known.
        outage_ms: How long the last trouble lasted that it has got over.
        recovered_at_ms: When that was; 0 for never.
    """

    version: int = 0
    state: CircuitState = CircuitState.CLOSED
    mode: CircuitMode = CircuitMode.AUTO
    since_ms: int = 0
    until_ms: int = 0
    cooldown_ms: int = 0
    opened_at_ms: int = 0
    counts_from_ms: int = 0
    episode: int = 0
    passed: int = 0
    reason: str = ""
    by: str = ""
    usual_per_minute: int = 0
    outage_ms: int = 0
    recovered_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Let:
    """The call may be made."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Not now; worth looking again in that many milliseconds."""

    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Whoever gets the lease of one of the first `slots` probes may make the call."""

    slots: int


def permit(
    record: CircuitRecord, now_ms: int, policy: CircuitPolicy, *, draw: float, jitter: float
) -> Let | Refuse | Probe:
    """What a call may do. Ask `settled` first whether time has moved the record.

    Args:
        record: The circuit, as known.
        now_ms: Now.
        policy: The circuit's settings.
        draw: Random number that decides whether a ramp lets this call through.
        jitter: Random number that spreads what is refused.
    """
    if record.mode is CircuitMode.CLOSED or (record.mode is CircuitMode.AUTO and record.state is CircuitState.CLOSED):
        return Let()
    if record.mode is CircuitMode.OPEN:
        return Refuse(int(FORCED_LOOK_MS * (0.5 + jitter)))
    if record.state is CircuitState.RAMPING:
        if draw < ramp_share(record, now_ms):
            return Let()
        # Never in one go: what is refused comes back over the rest of the ramp, and a little after it.
        return Refuse(max(250, int((record.until_ms - now_ms) * (0.25 + jitter))))
    if record.state is CircuitState.HALF_OPEN:
        waited = max(0, now_ms - record.since_ms) // max(1, policy.probe_stagger_ms)
        return Probe(min(policy.probes, 1 + max(record.passed, waited)))
    left = max(0, record.until_ms - now_ms)
    return Refuse(left + 1 + int(jitter * max(250, left // 5)))


def half_open_retry_ms(jitter: float) -> int:
    """When to come back to a circuit whose probes are all taken."""
    return int(_HALF_OPEN_LOOK_MS * (0.5 + jitter))


def ramp_share(record: CircuitRecord, now_ms: int) -> float:
    """The share of calls that a ramp lets through: from `FIRST_SHARE` at its start to all at its end."""
    whole = record.until_ms - record.since_ms
    gone = min(1.0, max(0.0, (now_ms - record.since_ms) / whole)) if whole > 0 else 1.0
    return FIRST_SHARE + (1.0 - FIRST_SHARE) * gone


def settled(record: CircuitRecord, now_ms: int, by: str) -> CircuitRecord | None:
    """The step that time alone makes: a cooldown or a ramp is over."""
    if record.mode is not CircuitMode.AUTO or now_ms < record.until_ms:
        return None
    if record.state is CircuitState.OPEN:
        return replace(
            record,
            version=record.version + 1,
            state=CircuitState.HALF_OPEN,
            since_ms=now_ms,
            until_ms=0,
            passed=0,
            by=by,
        )
    if record.state is CircuitState.RAMPING:
        return replace(
            record,
            version=record.version + 1,
            state=CircuitState.CLOSED,
            since_ms=now_ms,
            until_ms=0,
            opened_at_ms=0,
            reason="",
            by=by,
        )
    return None


def tripped(
    record: CircuitRecord, now_ms: int, policy: CircuitPolicy, *, reason: str, by: str, usual_per_minute: int = 0
) -> CircuitRecord | None:
    """The step when the calls of the window are surely too bad.

    Args:
        record: The circuit.
        now_ms: Now.
        policy: Its settings.
        reason: What the calls came to.
        by: Who makes the step.
        usual_per_minute: Calls that the fleet made before.
    """
    if not may_trip(record):
        return None
    opened = _opened(record, now_ms, policy, reason, by)
    if record.state is CircuitState.RAMPING or usual_per_minute == 0:
        return opened  # what is made in a ramp is not usual
    return replace(opened, usual_per_minute=usual_per_minute)


def may_trip(record: CircuitRecord) -> bool:
    """Whether evidence matters now."""
    return record.mode is CircuitMode.AUTO and record.state in (CircuitState.CLOSED, CircuitState.RAMPING)


def probe_passed(
    record: CircuitRecord, episode: int, now_ms: int, policy: CircuitPolicy, by: str
) -> CircuitRecord | None:
    """The step when a probe of `episode` succeeded: one more, or enough to let calls through again."""
    if not _probing(record, episode):
        return None
    passed = record.passed + 1
    if passed < policy.probes_to_close:
        return replace(record, version=record.version + 1, passed=passed, by=by)
    ramp_ms = min(max(int(record.cooldown_ms * _RAMP_PART_OF_COOLDOWN), _SHORTEST_RAMP_MS), _LONGEST_RAMP_MS)
    return replace(
        record,
        version=record.version + 1,
        state=CircuitState.RAMPING,
        since_ms=now_ms,
        until_ms=now_ms + ramp_ms,
        counts_from_ms=now_ms,
        passed=passed,
        by=by,
        outage_ms=now_ms - record.opened_at_ms,
        recovered_at_ms=now_ms,
    )


def probe_failed(
    record: CircuitRecord, episode: int, now_ms: int, policy: CircuitPolicy, *, reason: str, by: str
) -> CircuitRecord | None:
    """The step when a probe of `episode` failed."""
    return _opened(record, now_ms, policy, reason, by) if _probing(record, episode) else None


def forced(record: CircuitRecord, mode: CircuitMode, now_ms: int, *, reason: str, by: str) -> CircuitRecord | None:
    """The step of an operator; None where it is as wanted already.

    Left to itself again, a circuit that was forced open tries with probes; one that was forced closed stays closed, and
    what its calls came to meanwhile counts.
    """
    if record.mode is mode:
        return None
    step = replace(record, version=record.version + 1, mode=mode, since_ms=now_ms, until_ms=0, by=by, reason=reason)
    if mode is CircuitMode.OPEN:
        opened_at_ms = record.opened_at_ms or now_ms
        return replace(step, state=CircuitState.OPEN, opened_at_ms=opened_at_ms, episode=record.episode + 1)
    if mode is CircuitMode.CLOSED:
        return replace(step, state=CircuitState.CLOSED, opened_at_ms=0)
    if record.mode is CircuitMode.OPEN:
        return replace(step, state=CircuitState.OPEN, until_ms=now_ms)
    return replace(step, reason="")


def next_cooldown_ms(record: CircuitRecord, now_ms: int, policy: CircuitPolicy) -> int:
    """Twice the last one, up to the cap; half as much again for each span of health that has passed since."""
    if record.cooldown_ms == 0:
        return policy.cooldown_ms
    spans = 0
    if record.state is CircuitState.CLOSED:
        spans = min(max(0, now_ms - record.counts_from_ms) // policy.healthy_ms, _LARGEST_EXPONENT)
    return min(max(2 * record.cooldown_ms >> spans, policy.cooldown_ms), policy.longest_cooldown_ms)


def _probing(record: CircuitRecord, episode: int) -> bool:
    return (record.mode, record.state, record.episode) == (CircuitMode.AUTO, CircuitState.HALF_OPEN, episode)


def _opened(record: CircuitRecord, now_ms: int, policy: CircuitPolicy, reason: str, by: str) -> CircuitRecord:
    cooldown_ms = next_cooldown_ms(record, now_ms, policy)
    return replace(
        record,
        version=record.version + 1,
        state=CircuitState.OPEN,
        since_ms=now_ms,
        until_ms=now_ms + cooldown_ms,
        cooldown_ms=cooldown_ms,
        opened_at_ms=record.opened_at_ms or now_ms,
        episode=record.episode + 1,
        passed=0,
        reason=reason,
        by=by,
    )
