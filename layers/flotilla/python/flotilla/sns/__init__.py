"""SNS adapters."""
