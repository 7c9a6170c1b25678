"""The triage function: what lies in the dead letter queues becomes a fact that can be seen and repaired."""
