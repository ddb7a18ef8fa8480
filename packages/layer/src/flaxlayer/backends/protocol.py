"""What the layer asks of the Keras backend that it runs on (K1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import jax
import keras

from flaxlayer.program import CallResult, PureCall
from flaxlayer.typing import BackendArray
from flaxlayer_core import ArraySpec, Role, VariableSpec

__all__ = ["Backend", "Run"]

# Of stored values, seed and arrays of the arguments, as `PureCall.__call__`.
Run = Callable[[Sequence[BackendArray], BackendArray, Sequence[BackendArray]], CallResult]


class Backend(Protocol):
    """The parts of a layer that differ between Keras's backends.

    Modules, their discovery, initial values and random keys are JAX's on every backend. What
    differs is the kind of arrays that Keras holds, and how a module runs on them.

    Attributes:
        compiles_traces: Whether a call inside a trace of the backend runs through the compiled
            function too, so that it can be cached.
        array_types: The classes of the arrays, of the backend and of NumPy, that an eager call may
            take as they are.
        dtype_types: The classes of their dtypes.
        traced_by: What traces a model of Keras for an export: "jax" or "tensorflow".
    """

    compiles_traces: bool
    array_types: tuple[type, ...]
    dtype_types: tuple[type, ...]
    traced_by: str

    def is_outermost(self) -> bool:
        """Tells whether the current call is in no trace, so that its results are values."""

    def distribution(self) -> keras.distribution.Distribution | None:
        """Returns the Keras distribution that places variables, None where there is none."""

    def container_owners(self) -> Sequence[object]:
        """Returns objects that replace the containers they get as attributes, as models do (A1)."""

    def may_wait(self) -> bool:
        """Tells whether this thread may hold a lock while it reads and writes variables.

        Not where the backend lets threads meet in the middle of a write: each would wait for the
        others.
        """

    def has_values(self, arrays: Sequence[BackendArray]) -> bool:
        """Tells whether the arrays hold values, which a build may look at."""

    def describe(self, array: BackendArray) -> ArraySpec:
        """Returns the shape and the dtype that the module will see for an array."""

    def passed_on(self, array: BackendArray) -> BackendArray:
        """Returns an array that Keras passes on in its own dtype: itself, if that is so (A10)."""

    def compile(self, pure: PureCall) -> Run:
        """Returns a call as a function of the backend's arrays, compiled once."""

    def run_inline(self, pure: PureCall, *, traceable: bool) -> Run:
        """Returns a call as a function that runs once: within the current trace, or op by op.

        Args:
            pure: The call.
            traceable: False for a module that branches on values.

        Raises:
            LowerModuleError: If such a module cannot run where it is called.
        """

    def preflight(
        self,
        compiled: Callable[[bool], Run | None],
        values: Sequence[BackendArray],
        arrays: Sequence[ArraySpec],
    ) -> None:
        """Finds what the backend cannot run: in a call, and in the gradient of training (K4).

        Args:
            compiled: Returns the compiled call in a mode, None for one that the module refuses.
            values: The variables of the layer.
            arrays: The arrays that it was built with.

        Raises:
            LowerModuleError: If there is such an operation.
        """

    def to_backend(self, array: jax.Array) -> BackendArray:
        """Returns an array of JAX as Keras's variables take it."""

    def to_jax(self, array: BackendArray) -> jax.Array:
        """Returns the value of an array of the backend as one of JAX."""

    def keep(self, variable: keras.Variable) -> BackendArray:
        """Returns the value of a variable, to be assigned again; not in a device's own memory."""

    def creating(self) -> AbstractContextManager[object]:
        """Opens a context in which variables can be created, whatever is being traced (B3)."""

    def variable_name(self, part: str) -> str:
        """Returns the name of a variable, or of a scope, for one part of its path (W1)."""

    def checkpointed(self, variables: Mapping[str, keras.Variable]) -> object:
        """Returns what a layer holds for the backend's own checkpoints to find its variables.

        Args:
            variables: Those of the module, by path.

        Returns:
            An object to be an attribute of the layer; None where there are no such checkpoints.
        """

    def variable_options(self, spec: VariableSpec, role: Role) -> Mapping[str, str]:
        """Returns further arguments of `keras.Variable` for a variable of the module."""
