"""Functions and classes that printed scenarios are made of.

A program holds the source of those that it uses, so they need Flax, JAX, Keras, NumPy and the layer
only.
"""

from flaxlayer_testing.scenario.printed import (
    file_routes,
    held_values,
    learning_by_hand,
    models_around,
    refusals_seen,
)

__all__ = ["file_routes", "held_values", "learning_by_hand", "models_around", "refusals_seen"]
