"""How a published module is used: trained in a functional model, frozen, saved, loaded (T12).

Expected values come from raw Flax and JAX: the head of the model is written out in `_predict`.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from conformance.field.entry import Published
from conformance.field.loading import load_elsewhere
from flaxlayer_testing import compare_trees
from flaxlayer_testing.subject.layer import leaf_paths

__all__ = ["Use"]

RATE = 0.05


class Use:
    """A module in a functional model with a head of Keras's, beside raw Flax.

    Args:
        entry: The module.
    """

    def __init__(self, entry: Published) -> None:
        keras.utils.set_random_seed(5)
        self.entry, self.subject = entry, entry.subject()
        self.oracle = self.subject.oracle
        self.arrays = list(map(np.asarray, self.subject.arrays))
        self.layer: Any = self.subject.new_layer()
        self.model = self._make_model()
        found = jax.eval_shape(lambda: self._predict(self._weights(), self._rngs(False), False)[0])
        self.targets = np.random.default_rng(3).standard_normal(found.shape).astype(np.float32)

    def run(self) -> None:
        """Trains, freezes, saves and loads; raises where anything is not what raw Flax gives."""
        first = self._check_prediction()
        self._check_step()
        second = self._check_prediction()
        assert np.abs(second - first).max() > 0, "training changed nothing that can be seen"
        frozen = self._first_param()
        if frozen:
            self.layer.freeze(frozen)
            self._check_step(frozen)
        self._check_file()

    # The model.

    def _make_model(self) -> keras.Model:
        args, kwargs = self.subject.model_inputs()
        rows = self.entry.pick(self.layer(*args, **kwargs))
        # A head for each row; Flatten would add a dimension to what has one alone.
        flat = keras.layers.Reshape((-1,) if len(rows.shape) > 1 else (1,))(rows)
        outputs = keras.layers.Dense(1, dtype="float32", name="head")(flat)
        leaves = jax.tree_util.tree_leaves((args, kwargs))
        return keras.Model([x for x in leaves if isinstance(x, keras.KerasTensor)], outputs)

    def _rngs(self, training: bool) -> Mapping[str, Any]:
        return self.layer.peek_rngs(training=training)

    def _weights(self) -> dict[str, Any]:
        """The values of the model now, in copies: a train step of Keras donates its arrays."""
        kernel, bias = self.model.get_layer("head").get_weights()
        held = {"flax": dict(self.layer.flax_variables()), "head": {"kernel": kernel, "bias": bias}}
        return jax.tree_util.tree_map(jnp.array, held)

    def _batches(self, *targets: Any) -> Any:
        """The batch, again and again; its arrays may have any numbers of rows."""
        batch = (tuple(self.arrays), *targets)
        if keras.backend.backend() != "tensorflow":
            return (batch for _ in itertools.count())
        import tensorflow as tf

        return tf.data.Dataset.from_tensors(batch).repeat()

    # The same by raw Flax.

    def _predict(self, weights: Any, rngs: Any, training: bool) -> tuple[Any, Any]:
        function = self.oracle.function(training=training)
        outputs, updates = function(weights["flax"], rngs, list(map(jnp.asarray, self.arrays)))
        rows = self.entry.pick(outputs)
        flat = jnp.reshape(rows, (rows.shape[0], -1)).astype(jnp.float32)
        return flat @ weights["head"]["kernel"] + weights["head"]["bias"], updates

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(function) if self.oracle.traceable else function

    def _step(self, weights: Any, rngs: Any, frozen: str) -> Any:
        """The weights after a step of gradient descent, of all but a frozen one."""
        leaves, treedef = jax.tree_util.tree_flatten(weights)
        moves = self._moves(weights, frozen)

        def loss(moved: list[Any]) -> Any:
            following = iter(moved)
            given = [next(following) if m else x for x, m in zip(leaves, moves, strict=True)]
            predicted, updates = self._predict(treedef.unflatten(given), rngs, training=True)
            fault = jnp.mean((predicted - self.targets) ** 2) + self.oracle.sown_loss(updates)
            return fault, updates

        moved = [x for x, m in zip(leaves, moves, strict=True) if m]
        slopes, updates = jax.grad(loss, has_aux=True)(moved)
        following = iter([x - RATE * slope for x, slope in zip(moved, slopes, strict=True)])
        after = treedef.unflatten(
            [next(following) if m else x for x, m in zip(leaves, moves, strict=True)]
        )
        trained = {n: t for n, t in after["flax"].items() if n in self.oracle.raw.trainable}
        kept = self.oracle.next_variables(after["flax"], updates)
        return {"flax": {**kept, **trained}, "head": after["head"]}

    def _moves(self, weights: Any, frozen: str) -> list[bool]:
        trainable = self.oracle.raw.trainable
        found = [
            path.partition("/")[0] in trainable and path != frozen and _is_floating(leaf)
            for path, leaf in leaf_paths(weights["flax"]).items()
        ]
        return [*found, True, True]

    def _first_param(self) -> str:
        """The path of a param, empty where there is none."""
        weights = self._weights()
        paths = zip(leaf_paths(weights["flax"]), self._moves(weights, ""), strict=False)
        return next((path for path, moves in paths if moves), "")

    # Comparisons.

    def _check_prediction(self) -> np.ndarray:
        run = self._compiled(lambda weights, rngs: self._predict(weights, rngs, False)[0])
        expected = run(self._weights(), self._rngs(False))
        actual = self.model.predict(self._batches(), steps=1, verbose=0)
        compare_trees(np.asarray(expected), actual, path="prediction")
        return actual

    def _check_step(self, frozen: str = "") -> None:
        self.model.compile(keras.optimizers.SGD(RATE), "mse")
        step = self._compiled(lambda weights, rngs: self._step(weights, rngs, frozen))
        expected = step(self._weights(), self._rngs(True))
        self.model.fit(self._batches(self.targets), steps_per_epoch=1, shuffle=False, verbose=0)
        compare_trees(expected, self._weights(), path="weights after a step")

    def _check_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "model.keras")
            self.model.save(path)
            expected = self.model.predict(self._batches(), steps=1, verbose=0)
            actual, trained = load_elsewhere(path, self.entry.names, self.arrays)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
        assert len(trained) == len(self.model.trainable_weights), "a frozen weight is trained again"


def _is_floating(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)
