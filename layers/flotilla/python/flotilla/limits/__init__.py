"""Limits on what clients submit."""
