"""What the layer asks of torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import keras
import numpy as np
import torch

from flaxlayer.backends.protocol import Run
from flaxlayer.backends.torch.torch_call import TorchCall
from flaxlayer.backends.torch.torch_tensors import describe, to_jax, to_tensors, unsigned_tensor
from flaxlayer.compat import private_keras
from flaxlayer.compat.private_torch import has_global_hooks
from flaxlayer.program import PureCall
from flaxlayer.typing import BackendArray
from flaxlayer_core import ArraySpec, Role, VariableSpec, escape_part, trace_state_clean

__all__ = ["TorchBackend"]


class TorchBackend:
    """Calls run compiled by JAX, on the memory of torch's tensors (K3)."""

    compiles_traces = True
    array_types: tuple[type, ...] = (torch.Tensor, np.ndarray)
    dtype_types: tuple[type, ...] = (torch.dtype, np.dtype)
    traced_by = "torch"

    def is_outermost(self) -> bool:
        """Tells whether neither JAX nor Keras is tracing, and no hook wants to see the call."""
        return (
            trace_state_clean() and not private_keras.in_symbolic_scope() and not has_global_hooks()
        )

    def distribution(self) -> None:
        """Returns None: what Keras distributes here are modules of torch."""
        return

    def container_owners(self) -> Sequence[object]:
        """Returns none: what Keras tracks is the same on every backend."""
        return ()

    def may_wait(self) -> bool:
        """Returns True: no thread of torch waits for another one."""
        return True

    def has_values(self, arrays: Sequence[BackendArray]) -> bool:
        """Tells whether all of them hold values."""
        return all(
            isinstance(array, np.ndarray | np.generic | jax.Array)
            or (isinstance(array, torch.Tensor) and not array.is_meta)
            for array in arrays
        ) and not any(isinstance(array, jax.core.Tracer) for array in arrays)

    def describe(self, array: BackendArray) -> ArraySpec:
        """Returns shape and dtype as the module will see them."""
        return describe(array)

    def passed_on(self, array: BackendArray) -> BackendArray:
        """Returns a tensor for an array of unsigned integers, which Keras would make signed."""
        return unsigned_tensor(array)

    def compile(self, pure: PureCall) -> Run:
        """Returns the call, compiled once for each form of its inputs."""
        return TorchCall(pure, traceable=True)

    def run_inline(self, pure: PureCall, *, traceable: bool) -> Run:
        """Returns the same, to run once; a module that branches on values runs op by op."""
        return TorchCall(pure, traceable=traceable)

    def preflight(
        self,
        compiled: Callable[[bool], Run | None],
        values: Sequence[BackendArray],
        arrays: Sequence[ArraySpec],
    ) -> None:
        """Finds nothing: JAX runs what the module is written in."""

    def to_backend(self, array: jax.Array) -> BackendArray:
        """Returns a tensor of its own memory, which optimizers write to."""
        return to_tensors([array], "A variable")[0].clone()

    def to_jax(self, array: BackendArray) -> jax.Array:
        """Returns the value of a tensor, a variable or an array of NumPy."""
        return to_jax(array)

    def keep(self, variable: keras.Variable) -> BackendArray:
        """Returns a copy, which is not on a device with its own memory."""
        return variable.value.detach().to("cpu", copy=True)

    @contextlib.contextmanager
    def creating(self) -> Iterator[None]:
        """Opens a context in which tensors are no part of a gradient, and may be of later ones."""
        with torch.inference_mode(False), torch.no_grad():
            yield

    def variable_name(self, part: str) -> str:
        """Returns the part as paths have it; modules of torch take no dot in a name."""
        return escape_part(part).replace(".", "%2E")

    def checkpointed(self, variables: Mapping[str, keras.Variable]) -> None:
        """Returns None: the files are those of Keras."""
        return

    def variable_options(self, spec: VariableSpec, role: Role) -> Mapping[str, str]:
        """Returns none."""
        del spec, role
        return {}
