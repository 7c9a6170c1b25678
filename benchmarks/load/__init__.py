"""Load on any deployment, over HTTPS."""
