"""Benchmarks: ratios measured side by side in one run. Each prints its table and keeps it beside its code."""
