"""EventBridge adapters."""
