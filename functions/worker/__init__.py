"""The worker: runs tasks of one lane. Agents live in `agents/`."""
