"""Workflows: what is declared of them, and the messages by which their states ask for tasks."""
