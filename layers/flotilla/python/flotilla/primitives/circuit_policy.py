"""What a circuit is told: when it opens, how it looks again, what it may cost.

Invariant: a policy that cannot work is refused when it is made, not when it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """The settings of one circuit. All environments of a fleet should have the same.

    Attributes:
        failure_rate: Opens when the share of failed calls is surely at least this.
        latency_p99_ms: Opens when surely more than one call in a hundred takes longer; None: latency never opens it.
        minimum_volume: Nothing opens on fewer calls than this.
        latency_minimum_volume: The same for latency, which takes more calls to tell.
        window_ms: How far back calls count.
        cooldown_ms: How long it stays open at first.
        longest_cooldown_ms: However often it fails again.
        healthy_ms: For each such span of health the next cooldown starts at half of what it would have been.
        probes: Calls at once that may try whether it is well again, in the whole fleet.
        probes_to_close: Probes that must succeed.
        probe_lease_ms: When a probe of which nothing is heard is given to another. Longer than any call can take, or
            more than `probes` calls are under way.
        probe_stagger_ms: Between the first probe and the next as long as none has succeeded: one call tells as much.
        state_ttl_ms: How old the state may be that a healthy call goes by; up to a quarter more is jitter.
        report_every_ms: How often a healthy environment reports what its calls came to; up to a quarter more or less.
        shards: Items that the counts of one span of time are spread over.
    """

    failure_rate: float = 0.5
    latency_p99_ms: int | None = None
    minimum_volume: int = 10
    latency_minimum_volume: int = 100
    window_ms: int = 60_000
    cooldown_ms: int = 10_000
    longest_cooldown_ms: int = 60_000
    healthy_ms: int = 600_000
    probes: int = 3
    probes_to_close: int = 3
    probe_lease_ms: int = 30_000
    probe_stagger_ms: int = 1_000
    state_ttl_ms: int = 2_000
    report_every_ms: int = 3_000
    shards: int = 4

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ValueError: A setting is out of its range.
        """
        counts = (self.minimum_volume, self.latency_minimum_volume, self.probes, self.probes_to_close, self.shards)
        if min(counts) < 1:
            raise ValueError("a circuit's volumes, probes and shards are at least 1")
        times = (self.cooldown_ms, self.healthy_ms, self.probe_lease_ms, self.state_ttl_ms, self.report_every_ms)
        if min(times) < 1 or (self.latency_p99_ms is not None and self.latency_p99_ms < 1):
            raise ValueError("a circuit's times are at least a millisecond")
        if not 0 < self.failure_rate <= 1:
            raise ValueError("a circuit's failure rate lies above 0 and is at most 1")
        if self.longest_cooldown_ms < self.cooldown_ms:
            raise ValueError("a circuit's longest cooldown is at least its first")
        if self.window_ms < 4 * self.report_every_ms:
            raise ValueError("a circuit's window spans at least four reports")
        if self.shards > 100:
            raise ValueError("a circuit has at most 100 shards")
