"""Layers in files: configurations, weights, and what they may hold (S1 to S6)."""
