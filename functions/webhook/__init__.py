"""The webhook function: delivers to tenants' endpoints, and tries again over hours."""
