"""The variables of a `FlaxLayer` for its user: as trees, by path, frozen (C5, W1, W2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from flaxlayer.hosted import HostedModule
from flaxlayer.saving.assignments import checked_assignments
from flaxlayer.typing import PyTree
from flaxlayer_core import Role

__all__ = ["VariableAccess"]


class VariableAccess:
    """What a `FlaxLayer` offers on the variables of its module."""

    _hosted: HostedModule

    @property
    def params(self) -> dict[str, PyTree] | None:
        """The trainable collections as a tree of Keras variables, None before build (W1)."""
        weights = self._hosted.weights
        return None if weights is None else weights.tree(Role.TRAINABLE)

    @property
    def state(self) -> dict[str, PyTree] | None:
        """The other stored collections as a tree of Keras variables, None before build (W1)."""
        weights = self._hosted.weights
        return None if weights is None else weights.tree(Role.STATE)

    def flax_variables(self) -> dict[str, PyTree]:
        """Returns exactly the tree that `Module.apply` takes (W2).

        Returns:
            Collections of arrays, in the dtypes that are stored, with the module's boxes. They
            are copies: Keras's `fit` gives the arrays of its variables away.

        Raises:
            BuildModuleError: If the layer is not built.

        Example:

        ```python
        >>> import flax.linen as nn, jax.numpy as jnp
        >>> from flaxlayer import FlaxLayer
        >>> layer, x = FlaxLayer(nn.Dense(2)), jnp.ones((1, 3))
        >>> y = layer(x)
        >>> bool((nn.Dense(2).apply(layer.flax_variables(), x) == y).all())
        True

        ```
        """
        weights = self._hosted.built_weights
        stored = weights.layout.unflatten([jnp.copy(value) for value in weights.jax_values()])
        return self._hosted.flax_module.raw_variables(stored)

    def load_flax_variables(self, tree: PyTree) -> None:
        """Takes the values of a tree of variables, whole or a part of it (W2).

        Args:
            tree: Collections of arrays as `Module.init` or `flax_variables` returns them, a
                `TrainState`, a module of nnx, or the path of a checkpoint that `read_variables`
                reads; what is missing keeps its value.

        Raises:
            MatchVariablesError: If a path is unknown or a shape differs; nothing is changed then.
            ReadVariablesError: If a checkpoint cannot be read; nothing is changed then.

        Example:

        ```python
        >>> import flax.linen as nn, jax.numpy as jnp
        >>> from flaxlayer import FlaxLayer
        >>> layer = FlaxLayer(nn.Dense(2))
        >>> layer.build((None, 3))
        >>> layer.load_flax_variables({"params": {"bias": jnp.ones(2)}})
        >>> layer.flax_variables()["params"]["bias"].tolist()
        [1.0, 1.0]

        ```
        """
        hosted, weights = self._hosted, self._hosted.built_weights
        policy = hosted.settings.policy
        pairs = checked_assignments(weights, tree, hosted.flax_module, policy, title=hosted.title)
        weights.replace(pairs)

    def to_module(self) -> Any:
        """Returns the module bound to the current values (W2).

        Example:

        ```python
        >>> import flax.linen as nn, jax.numpy as jnp
        >>> from flaxlayer import FlaxLayer
        >>> layer, x = FlaxLayer(nn.Dense(2)), jnp.ones((1, 3))
        >>> bool((layer(x) == layer.to_module()(x)).all())
        True

        ```
        """
        return self._hosted.flax_module.bind(self.flax_variables())

    def freeze(self, *patterns: str) -> None:
        """Freezes weights and state by path (C5).

        Args:
            *patterns: Such as `"params/encoder/**"`; before build they wait for it.

        Raises:
            MatchPathPatternError: If a pattern selects nothing, or is no text; nothing is frozen
                then.

        Example:

        ```python
        >>> import flax.linen as nn
        >>> from flaxlayer import FlaxLayer
        >>> layer = FlaxLayer(nn.Dense(2), name="head")
        >>> layer.build((None, 3))
        >>> layer.freeze("params/bias")
        >>> [variable.path for variable in layer.trainable_variables]
        ['head/params/kernel']

        ```
        """
        self._change_frozen(patterns, freeze=True)

    def unfreeze(self, *patterns: str) -> None:
        """Undoes `freeze` for what the patterns select.

        Args:
            *patterns: As for `freeze`.

        Raises:
            MatchPathPatternError: As for `freeze`; nothing is changed then.
        """
        self._change_frozen(patterns, freeze=False)

    def _change_frozen(self, patterns: Sequence[str], *, freeze: bool) -> None:
        hosted = self._hosted
        hosted.frozen.change(patterns, hosted.weights, freeze=freeze, title=hosted.title)
        if hosted.weights is not None:
            hosted.frozen.apply(hosted.weights, trainable=hosted.layer.trainable)
