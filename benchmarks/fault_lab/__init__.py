"""A dependency that fails as it is told to, and what the fleet's protection makes of it."""
