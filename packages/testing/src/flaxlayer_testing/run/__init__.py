"""Runs checks: on a subject, in a search, again from a file (T2, T8)."""
