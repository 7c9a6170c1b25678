"""What Flotilla does, over ports and primitives alone: no adapter is imported here."""
