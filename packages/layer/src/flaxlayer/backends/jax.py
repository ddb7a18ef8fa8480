"""The JAX backend: Keras holds the arrays that the module takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

import jax
import keras
import numpy as np
from jax import export

from flaxlayer.backends.dtypes import canonical_dtype
from flaxlayer.backends.protocol import Run
from flaxlayer.compat.jax2tf_conversions import in_jax2tf
from flaxlayer.program import PureCall
from flaxlayer.typing import BackendArray
from flaxlayer_core import ArraySpec, Role, VariableSpec, escape_part, trace_state_clean

__all__ = ["JaxBackend"]


class JaxBackend:
    """Calls are compiled by `jax.jit` outside of traces, and inlined in them (A6)."""

    compiles_traces = False
    array_types: tuple[type, ...] = (jax.Array, np.ndarray)
    dtype_types: tuple[type, ...] = (np.dtype,)  # no typed keys
    traced_by = "jax"

    def is_outermost(self) -> bool:
        """Tells whether no JAX transformation is tracing."""
        return trace_state_clean()

    def distribution(self) -> keras.distribution.Distribution | None:
        """Returns what `keras.distribution.distribution` returns."""
        return keras.distribution.distribution()

    def container_owners(self) -> Sequence[object]:
        """Returns none: what Keras tracks is the same on every backend."""
        return ()

    def may_wait(self) -> bool:
        """Returns True: no thread of JAX waits for another one."""
        return True

    def has_values(self, arrays: Sequence[BackendArray]) -> bool:
        """Tells whether none of them is abstract or traced."""
        abstract = (keras.KerasTensor, jax.core.Tracer, jax.ShapeDtypeStruct)
        return not any(isinstance(array, abstract) for array in arrays)

    def describe(self, array: BackendArray) -> ArraySpec:
        """Returns shape and dtype; 64-bit types only under x64."""
        # In Keras's symbolic traces unknown dimensions are symbols of JAX, which no file can hold.
        shape = (None if export.is_symbolic_dim(dim) else dim for dim in array.shape)
        return ArraySpec(tuple(shape), canonical_dtype(array.dtype))

    def passed_on(self, array: BackendArray) -> BackendArray:
        """Returns the array: every dtype is one of the backend."""
        return array

    def compile(self, pure: PureCall) -> Run:
        """Returns the call under `jax.jit`, which obeys `disable_jit`, x64 and precision."""
        return jax.jit(pure)

    def run_inline(self, pure: PureCall, *, traceable: bool) -> Run:
        """Returns the call itself."""
        del traceable
        return _for_tensorflow(pure) if in_jax2tf() else pure

    def preflight(
        self,
        compiled: Callable[[bool], Run | None],
        values: Sequence[BackendArray],
        arrays: Sequence[ArraySpec],
    ) -> None:
        """Finds nothing: JAX runs what the module is written in."""

    def to_backend(self, array: jax.Array) -> BackendArray:
        """Returns the array itself."""
        return array

    def to_jax(self, array: BackendArray) -> jax.Array:
        """Returns the array itself."""
        value: jax.Array = array
        return value

    def keep(self, variable: keras.Variable) -> BackendArray:
        """Returns the array itself, from a device that has its own memory as one of NumPy."""
        value = variable.value
        hosted = all(device.platform == "cpu" for device in value.devices())
        return value if hosted or not value.is_fully_addressable else np.asarray(value)

    def creating(self) -> contextlib.AbstractContextManager[object]:
        """Opens a context for values: older Keras copies what it is given (B3)."""
        return jax.ensure_compile_time_eval()

    def variable_name(self, part: str) -> str:
        """Returns the part as paths have it."""
        return escape_part(part)

    def checkpointed(self, variables: Mapping[str, keras.Variable]) -> None:
        """Returns None: the files are those of Keras."""
        return

    def variable_options(self, spec: VariableSpec, role: Role) -> Mapping[str, str]:
        """Returns none."""
        del spec, role
        return {}


def _for_tensorflow(pure: PureCall) -> Run:
    # Late, for what needs TensorFlow: jax2tf has it.
    from flaxlayer.backends.conversions import convert_portably

    return convert_portably(pure)
