"""Hypothesis strategies: what is drawn, and how it shrinks (T1)."""
