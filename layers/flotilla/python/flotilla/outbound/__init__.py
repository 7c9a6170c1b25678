"""HTTP requests to hosts that somebody else named."""
