"""The broadcaster: tells tasks' transitions to a bus, a topic and webhook endpoints."""
