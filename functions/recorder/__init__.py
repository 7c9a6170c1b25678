"""The recorder: how executions of workflows ended, into the event log."""
