"""What programs train by: a Keras model, and gradient descent by raw Flax (K1)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from flaxlayer_testing.backends.printed_pieces import descent
from flaxlayer_testing.render.raw_trees import after, compiled, leaves, put, split
from flaxlayer_testing.scenario.printed.held_values import sown_in, summed
from flaxlayer_testing.scenario.printed.models_around import probe, probe_of_layer

__all__ = ["Trained", "descend"]


class Trained(keras.Model):
    """A model whose loss is the probe loss of what `run` gives."""

    def __init__(self, inner: Any, run: Any, inputs: Any, arguments: Any) -> None:
        super().__init__(autocast=False)
        self.inner, self.run, self.merge = inner, run, split((inputs, arguments))[1]

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Adds the loss and returns it."""
        loss = probe_of_layer(self.run(*self.merge(list(inputs)), training))
        self.add_loss(loss)
        return loss


def descend(
    raw: Any,
    variables: Any,
    calls: Any,
    trained: list[str],
    state: list[str],
    frozen: Any = (),
    stored: Any = (),
    losses: Any = (),
    returned: Any = (),
    weight: int = 1,
    joined: Any = None,
    **settings: Any,
) -> Any:
    """Returns the variables after a step of gradient descent by raw Flax, through its calls."""
    pairs = [split((inputs, arguments)) for inputs, arguments, _ in calls]
    merges = [merge for _, merge in pairs]

    def step(variables: Any, keys: Any, arrays: Any) -> Any:
        def loss(free: Any) -> Any:
            whole, found, total = put(variables, free), [], 0
            for merge, own, given in zip(merges, keys, arrays, strict=True):
                args, kwargs = merge(given)
                outputs, updates = raw.apply(whole, args, kwargs, own, True, **settings)
                sown = sown_in(updates, stored)
                if returned:
                    outputs = outputs, {name: sown[name] for name in returned if name in sown}
                found.append(outputs)
                total, whole = total + summed(sown, losses), after(whole, updates, state, frozen)
            outputs = joined(*found) if joined else found[0]
            return weight * probe(outputs) + total, whole

        free = {path: leaf for path, leaf in leaves(variables).items() if path in trained}
        gradients, left = jax.grad(loss, has_aux=True)(free)
        steps = descent(gradients)
        moved = {p: free[p] - jnp.asarray(0.125, free[p].dtype) * steps[p] for p in free}
        return moved, left

    keys = [own for _, _, own in calls]
    moved, left = compiled(step)(dict(variables), keys, [arrays for arrays, _ in pairs])
    return put(left, moved)
