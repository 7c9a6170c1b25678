"""EventBridge Scheduler adapter."""
