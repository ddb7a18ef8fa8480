"""What was found: one stream of events, and every form of report made of it (T8)."""
