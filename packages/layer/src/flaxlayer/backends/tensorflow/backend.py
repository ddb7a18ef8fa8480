"""What the layer asks of TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

import jax
import jax.numpy as jnp
import keras
import numpy as np
import tensorflow as tf

from flaxlayer.backends.protocol import Run
from flaxlayer.backends.tensorflow.lowered_call import LoweredCall
from flaxlayer.backends.tensorflow.op_by_op import OpByOpCall
from flaxlayer.backends.tensorflow.tensors import describe, to_jax
from flaxlayer.program import PureCall
from flaxlayer.typing import BackendArray
from flaxlayer_core import ArraySpec, Role, VariableSpec, trace_state_clean

__all__ = ["TensorFlowBackend"]


class TensorFlowBackend:
    """Calls run as StableHLO, eagerly and in `tf.function`."""

    compiles_traces = True
    array_types: tuple[type, ...] = (tf.Tensor, np.ndarray)
    dtype_types: tuple[type, ...] = (tf.DType, np.dtype)
    traced_by = "tensorflow"

    def is_outermost(self) -> bool:
        """Tells whether TensorFlow runs eagerly and no JAX transformation is tracing."""
        return tf.executing_eagerly() and trace_state_clean()

    def distribution(self) -> None:
        """Returns None: Keras distributes nothing here."""
        return

    def container_owners(self) -> Sequence[object]:
        """Returns a module of TensorFlow, which layers of Keras are here."""
        return (tf.Module(),)

    def may_wait(self) -> bool:
        """Returns False in a trace, and for a replica, which waits for the others at a write."""
        replica = tf.distribute.has_strategy() and tf.distribute.get_replica_context() is not None
        return tf.executing_eagerly() and not replica

    def has_values(self, arrays: Sequence[BackendArray]) -> bool:
        """Tells whether all of them are eager."""
        return (
            all(
                isinstance(array, np.ndarray | np.generic | jax.Array)
                or (tf.is_tensor(array) and hasattr(array, "numpy"))
                for array in arrays
            )
            and tf.executing_eagerly()
        )

    def describe(self, array: BackendArray) -> ArraySpec:
        """Returns shape and dtype as the module will see them."""
        return describe(array)

    def passed_on(self, array: BackendArray) -> BackendArray:
        """Returns the array: every dtype is one of the backend."""
        return array

    def compile(self, pure: PureCall) -> Run:
        """Returns the call as StableHLO, made once for each form of its inputs."""
        return LoweredCall(pure)

    def run_inline(self, pure: PureCall, *, traceable: bool) -> Run:
        """Returns the same, to run once; a module that branches on values runs op by op."""
        return LoweredCall(pure) if traceable else OpByOpCall(pure)

    def preflight(
        self,
        compiled: Callable[[bool], Run | None],
        values: Sequence[BackendArray],
        arrays: Sequence[ArraySpec],
    ) -> None:
        """Lowers the call in both modes, and the gradient of training (K4)."""
        stored = list(map(describe, values))
        for training in (False, True):
            run = compiled(training)
            if isinstance(run, LoweredCall):
                run.preflight(stored, arrays, gradient=training)

    def to_backend(self, array: jax.Array) -> BackendArray:
        """Returns an array of NumPy."""
        return np.asarray(array)

    def to_jax(self, array: BackendArray) -> jax.Array:
        """Returns the value of a tensor, a variable or an array of NumPy."""
        return to_jax(array)

    def keep(self, variable: keras.Variable) -> BackendArray:
        """Returns a copy of NumPy."""
        return keras.ops.convert_to_numpy(variable.value)

    def creating(self) -> contextlib.AbstractContextManager[object]:
        """Opens a context outside of every `tf.function` (B3)."""
        scope: contextlib.AbstractContextManager[object] = tf.init_scope()
        return scope

    def variable_name(self, part: str) -> str:
        """Returns the part, with `>2F` for a slash and the like for whatever a graph refuses.

        Optimizers name their variables by the path of a weight, and `fit` makes them in a graph.
        """
        return quote(part, safe="").replace("~", "%7E").replace("%", ">")

    def checkpointed(self, variables: Mapping[str, keras.Variable]) -> tf.train.Checkpoint:
        """Returns a node of a checkpoint: `tf.train.Checkpoint` finds no variables in a list."""
        return tf.train.Checkpoint(**variables)

    def variable_options(self, spec: VariableSpec, role: Role) -> Mapping[str, str]:
        """Returns how replicas agree on state, as Keras's own layers have it."""
        if role is not Role.STATE:
            return {}
        floating = jnp.issubdtype(spec.dtype, jnp.floating)
        return {"aggregation": "mean" if floating else "only_first_replica"}
