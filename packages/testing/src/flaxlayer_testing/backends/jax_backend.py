"""The layer under test on JAX: it takes and gives the arrays that raw Flax does."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from flaxlayer_testing.oracle.call import is_array
from flaxlayer_testing.oracle.probe import probe_loss
from flaxlayer_testing.oracle.statics import compile_with_statics

__all__ = ["JaxBackend"]


class JaxBackend:
    """What the checks ask of JAX; see the protocol for each method."""

    name = "jax"
    shares_programs = True
    environment: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    traces_models = True

    def is_array(self, leaf: Any) -> bool:
        """Tells whether a leaf is an array of JAX or NumPy."""
        return is_array(leaf)

    def to_backend(self, tree: Any) -> Any:
        """Returns the tree itself."""
        return tree

    def to_arrays(self, tree: Any) -> Any:
        """Returns the tree itself."""
        return tree

    def to_numpy(self, value: Any) -> np.ndarray[Any, Any]:
        """Returns a copy."""
        return np.array(value)

    def duplicate(self, array: Any) -> Any:
        """Returns a copy."""
        return jax.numpy.array(array)

    def variable_name(self, name: str) -> str:
        """Returns the name with its slashes escaped."""
        return name.replace("%", "%25").replace("/", "%2F")

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns `jax.jit(function)`."""
        return compile_with_statics(function)

    def gradients(
        self,
        loss: Callable[[list[Any], list[Any], list[Any]], Any],
        trainable: Sequence[Any],
        inputs: Sequence[Any],
        rest: Sequence[Any],
    ) -> tuple[list[Any], list[Any]]:
        """Returns those of `jax.grad`, compiled."""
        compiled = jax.jit(jax.grad(loss, argnums=(0, 1)))
        by_trainable, by_inputs = compiled(list(trainable), list(inputs), list(rest))
        return list(by_trainable), list(by_inputs)

    def probe_loss(self, outputs: Any) -> Any:
        """Returns the loss."""
        return probe_loss(outputs)

    def descent(self, gradients: Any) -> Any:
        """Returns them as they are."""
        return gradients

    def batches(self, arrays: Sequence[Any], *, any_batch: bool) -> Iterable[Any]:
        """Yields the batch; JAX knows all sizes."""
        del any_batch
        return ((list(arrays),) for _ in itertools.count())
