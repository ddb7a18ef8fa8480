"""What raw Flax says: the expected side of every check (T10)."""
