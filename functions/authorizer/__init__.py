"""The gateway's authorizer: tells who a request comes from, and lets the API refuse it."""
