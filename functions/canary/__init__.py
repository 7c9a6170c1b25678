"""Canaries: a small task on every lane every few minutes, measured from end to end."""
