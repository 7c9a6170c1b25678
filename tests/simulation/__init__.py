"""The services under one seeded scheduler and clock, with every fault that the world may deal them.

Invariant: a history follows from its seed alone. No thread, no real clock and no real I/O takes part, so a history
that breaks a promise can be told again, step by step (`python -m tests.simulation --seed N`).
"""
