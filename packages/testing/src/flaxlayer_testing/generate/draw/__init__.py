"""Draws the parts of a spec, each chosen for how it shrinks (T1)."""
