"""Flax modules of either API behind one protocol, with their methods."""
