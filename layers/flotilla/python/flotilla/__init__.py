"""Flotilla's runtime: what every function of the fleet shares, and what an agent author imports."""

__version__ = "0.1.0"
