"""Random keys: derived from a seed and the names of streams (R2)."""
