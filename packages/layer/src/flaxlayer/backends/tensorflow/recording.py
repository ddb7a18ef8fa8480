"""Programs of JAX that a graph of TensorFlow keeps by name, for what cannot read StableHLO (S4)."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from flaxlayer.backends.tensorflow.tensors import to_tensor
from flaxlayer.typing import Array, FlatCallable
from flaxlayer_core import ArraySpec, drop_symbols, holding

__all__ = ["KeptProgram", "Recording", "current_recording", "recording"]

_current: contextvars.ContextVar[Recording | None] = contextvars.ContextVar(
    "recording", default=None
)


@dataclass(frozen=True)
class KeptProgram:
    """A call of a function of JAX in a graph.

    Attributes:
        title: What to name in an error.
        function: Takes the arrays that the graph does not know, and returns flat arrays.
        inputs: The shapes and dtypes of these, None for an unknown dimension.
    """

    title: str
    function: FlatCallable
    inputs: tuple[ArraySpec, ...]


@dataclass
class Recording:
    """The programs of one graph.

    An operation `PyFunc` stands for each of them: the one operation of TensorFlow that takes and
    gives any tensors under a name of one's own. It cannot run.

    Attributes:
        programs: What was called, by name.
    """

    programs: dict[str, KeptProgram] = field(default_factory=dict)

    def keep(
        self,
        function: FlatCallable,
        tensors: Sequence[tf.Tensor],
        *,
        outputs: Sequence[Array],
        title: str,
    ) -> list[tf.Tensor]:
        """Adds an operation for a call; tensors that the graph knows become part of the function.

        Args:
            function: Takes and returns flat arrays.
            tensors: What it is called with.
            outputs: Its abstract results.
            title: What to name in an error.

        Returns:
            Tensors for the results.
        """
        known = [tf.get_static_value(tensor) for tensor in tensors]
        unknown = [t for t, value in zip(tensors, known, strict=True) if value is None]
        if not unknown:
            return list(map(to_tensor, function(*known)))
        name = f"program_{len(self.programs)}"
        self.programs[name] = KeptProgram(
            title, _bound(function, known), tuple(map(_spec, unknown))
        )
        dtypes = [tf.as_dtype(output.dtype) for output in outputs]
        results = tf.raw_ops.PyFunc(input=unknown, token=name, Tout=dtypes)
        return [
            tf.ensure_shape(result, drop_symbols(output.shape))
            for result, output in zip(results, outputs, strict=True)
        ]


@contextlib.contextmanager
def recording() -> Iterator[Recording]:
    """Keeps the programs that this thread adds to graphs by name, instead of lowering them.

    Yields:
        The recording, filled while the context is open.
    """
    with holding(_current, Recording()) as record:
        yield record


def current_recording() -> Recording | None:
    """Returns the recording that a call belongs to: none where it is run."""
    return None if tf.executing_eagerly() else _current.get()


def _bound(function: FlatCallable, known: Sequence[np.ndarray | None]) -> FlatCallable:
    def run(*arrays: Array) -> Sequence[Array]:
        rest = iter(arrays)
        return function(*(next(rest) if value is None else value for value in known))

    return run


def _spec(tensor: tf.Tensor) -> ArraySpec:
    return ArraySpec(tuple(tensor.shape), np.dtype(tensor.dtype.as_numpy_dtype))
