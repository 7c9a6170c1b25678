"""Limits side by side: fleets that race for one limit, on a virtual clock and as real processes."""
