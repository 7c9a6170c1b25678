"""The subjects, each in a file of its own."""
