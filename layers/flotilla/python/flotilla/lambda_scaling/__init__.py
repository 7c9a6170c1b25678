"""Lambda's own settings of what may run at once."""
