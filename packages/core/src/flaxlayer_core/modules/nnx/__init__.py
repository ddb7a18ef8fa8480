"""Modules of `flax.nnx`: their graph, their streams, and what makes them."""
