"""The projector: keeps the read model and the archive up with the event log."""
