"""Scenarios: a module with settings, in a surrounding, through a sequence of steps (T9)."""
