"""What the checks ask of the Keras backend that a layer under test runs on (K1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

__all__ = ["Backend"]


class Backend(Protocol):
    """The border between raw Flax, which is JAX's on every backend, and a layer under test.

    Attributes:
        name: What Keras calls it.
        shares_programs: Whether an eager call of a layer runs the very program that `jax.jit`
            makes of the raw apply, so that every bit must agree (T4).
        environment: What a shell sets to choose the backend, before a command.
        distributions: What takes part in a check beside what takes part on every backend.
        traces_models: Whether Keras traces a model before it runs it: what builds layers from
            shapes, and what `model.export` writes.
    """

    name: str
    shares_programs: bool
    environment: tuple[str, ...]
    distributions: tuple[str, ...]
    traces_models: bool

    def is_array(self, leaf: Any) -> bool:
        """Tells whether a leaf is an array of JAX, of NumPy, or of the backend."""

    def to_backend(self, tree: Any) -> Any:
        """Returns arguments with each array as users of the backend hold it."""

    def to_arrays(self, tree: Any) -> Any:
        """Returns results with an array of JAX or NumPy, of the same dtype, for each tensor."""

    def to_numpy(self, value: Any) -> np.ndarray[Any, Any]:
        """Returns a copy of the value of a Keras variable."""

    def duplicate(self, array: Any) -> Any:
        """Returns another array of the backend with the same value."""

    def variable_name(self, name: str) -> str:
        """Returns the name of a Keras variable, or scope, for a name in a module (W1)."""

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function as users of the backend compile it.

        Args:
            function: Takes lists of arrays; its results may hold leaves that are none.

        Returns:
            A function of arrays of any kind, whose results are as `to_arrays` gives them.
        """

    def gradients(
        self,
        loss: Callable[[list[Any], list[Any], list[Any]], Any],
        trainable: Sequence[Any],
        inputs: Sequence[Any],
        rest: Sequence[Any],
    ) -> tuple[list[Any], list[Any]]:
        """Returns the gradients of a loss, complex ones in the sense of `jax.grad`.

        Args:
            loss: A function of the other arguments.
            trainable: Values that it is differentiated by.
            inputs: Arrays that it is differentiated by.
            rest: Values that it is not.

        Returns:
            Those by `trainable` and by `inputs`, as arrays.
        """

    def probe_loss(self, outputs: Any) -> Any:
        """Returns what `probe_loss` of the oracle does, of a layer's outputs."""

    def descent(self, gradients: Any) -> Any:
        """Returns what optimizers of the backend descend along, of gradients by `jax.grad`."""

    def batches(self, arrays: Sequence[Any], *, any_batch: bool) -> Iterable[Any]:
        """Returns what `fit` takes to see the same batch again and again.

        Args:
            arrays: The arrays of the batch.
            any_batch: Whether their number of rows may be unknown to a trace.
        """
