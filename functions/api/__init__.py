"""The HTTP API: what `/v1` promises, over the library's services."""
