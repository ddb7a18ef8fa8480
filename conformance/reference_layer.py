"""`keras.layers.FlaxLayer` as it is installed, readable by the checks (T3).

Nothing of how it builds, calls, trains or saves is changed. The checks ask a layer for its
variables and for the keys of its next call; here these are read from what the reference documents:
`params`, `state`, `seed_generator` and the two methods that it says may be overridden.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import jax
import keras
import numpy as np

__all__ = ["MISSING", "Reference"]

KERAS = tuple(map(int, keras.__version__.split(".")[:2]))

MISSING = KERAS >= (3, 14) and importlib.util.find_spec("tensorflow") is None
"""Since Keras 3.14 the reference needs TensorFlow to make its weights, on the JAX backend too."""


@keras.saving.register_keras_serializable("reference")
class Reference(keras.layers.FlaxLayer):
    """The reference, with what the checks read."""

    def flax_variables(self) -> dict[str, Any]:
        """Returns the tree that raw apply takes."""
        trees = {**(self.params or {}), **(self.state or {})}
        return jax.tree_util.tree_map(lambda variable: variable.value, trees)

    def load_flax_variables(self, tree: Mapping[str, Any]) -> None:
        """Assigns a tree of the same structure."""
        trees = {**(self.params or {}), **(self.state or {})}
        given = {name: tree[name] for name in trees}
        jax.tree_util.tree_map(lambda variable, value: variable.assign(value), trees, given)

    def init_rngs(self) -> dict[str, Any]:
        """Returns the keys that init got."""
        return dict(self.drawn_at_init)

    def peek_rngs(self, *, training: bool) -> dict[str, Any]:
        """Returns the keys of the next call, and draws nothing."""
        state = np.array(self.seed_generator.state.value)
        rngs = self._get_call_rng(training)
        self.seed_generator.state.assign(state)
        return rngs

    class _Rule:
        """The keys that it drew itself: they come from Keras's seeds, and not as R2 says."""

        asks = True

        def of_init(self, layer: Any, seed: int, streams: Any) -> dict[str, Any]:
            """Returns the keys that init got."""
            return layer.init_rngs()

        def of_call(
            self, layer: Any, seed: int, draws: int, streams: Any, *, training: bool
        ) -> dict[str, Any]:
            """Returns the keys of a call: Keras's state of the seed generator is one."""
            state = np.array([seed, draws], np.uint32)
            return {"dropout": state} if training else {}

    key_rule = _Rule()

    def _get_init_rng(self) -> Any:
        rngs = super()._get_init_rng()
        # Past Keras, which would put a tracking dict in the place of this one.
        object.__setattr__(self, "drawn_at_init", rngs)
        return rngs
