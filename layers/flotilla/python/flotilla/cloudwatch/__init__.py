"""CloudWatch adapters."""
