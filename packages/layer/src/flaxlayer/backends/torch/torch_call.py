"""A layer's call on tensors of torch (K3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np
import torch

from flaxlayer.backends.torch.autograd import TorchFunction
from flaxlayer.backends.torch.parameter_views import ParameterViews
from flaxlayer.backends.torch.torch_tensors import describe, prepared, to_abstract, view
from flaxlayer.program import CallResult, PureCall
from flaxlayer.typing import Array, BackendArray
from flaxlayer_core import Role

__all__ = ["TorchCall"]


class TorchCall:
    """A call that runs in JAX, on the memory of tensors.

    Args:
        pure: The call as a pure function of arrays of JAX.
        traceable: False for a module that branches on values, which runs op by op.
    """

    def __init__(self, pure: PureCall, *, traceable: bool) -> None:
        self._pure, self._count = pure, len(pure.layout.specs)
        self._unsigned = [
            index for index, spec in enumerate(pure.layout.specs) if spec.dtype.kind == "u"
        ]
        self._function = TorchFunction(
            self._run,
            title=pure.module_call.title,
            moving=frozenset(self._moving()),
            compiled=traceable,
        )
        self._views = ParameterViews()

    def __call__(
        self, values: Sequence[BackendArray], seed: BackendArray, arrays: Sequence[BackendArray]
    ) -> CallResult:
        """Runs the call; see `PureCall.__call__`.

        Raises:
            LowerModuleError: If torch is exporting.
        """
        stored = list(values) if seed is None else [*values, seed]
        if any(isinstance(a, torch.Tensor) and a.is_meta for a in (*arrays, *stored[:1])):
            return self._abstract([*stored, *arrays])
        given = [_given(array) for array in arrays]
        tensors, views = self._views.of(stored)
        return self._function(
            [*tensors, *(tensor for tensor, _ in given)],
            [*views, *(array for _, array in given)],
        )

    def _moving(self) -> list[int]:
        """Returns the positions of what a call writes to: state, and the seed."""
        pure = self._pure
        state = [
            index
            for index, spec in enumerate(pure.layout.specs)
            if spec.path[0] in pure.plan.updates and pure.layout.role(spec.path[0]) is Role.STATE
        ]
        return [*state, self._count] if pure.plan.streams else state

    def _run(self, *arrays: Array) -> CallResult:
        pure = self._pure
        values, rest = list(arrays[: self._count]), arrays[self._count :]
        for index in self._unsigned:  # Keras keeps them in signed integers here
            values[index] = jax.numpy.asarray(values[index], pure.layout.specs[index].dtype)
        if not pure.plan.streams:
            return pure(values, None, rest)
        seed, *given = rest
        result = pure(values, jax.numpy.asarray(seed, np.uint32), given)
        return replace(result, seed=jax.numpy.asarray(result.seed, seed.dtype))

    def _abstract(self, arrays: Sequence[BackendArray]) -> CallResult:
        # Keras asks for shapes and dtypes with tensors that have no values.
        structs = [
            array
            if type(array) in (float, complex)
            else jax.ShapeDtypeStruct(*_shape_and_dtype(array))
            for array in arrays
        ]
        result = jax.eval_shape(self._run, *structs)
        title = self._function.title
        made: CallResult = jax.tree_util.tree_map(lambda leaf: to_abstract(leaf, title), result)
        return made


def _shape_and_dtype(array: BackendArray) -> tuple[tuple[int | None, ...], np.dtype]:
    spec = describe(array)
    return spec.shape, spec.dtype


def _given(array: BackendArray) -> tuple[torch.Tensor | None, Array]:
    if isinstance(array, torch.Tensor):
        tensor = prepared(array)
        return tensor, view(tensor)
    if isinstance(array, np.ndarray | np.generic):
        return None, jax.numpy.array(array)  # its memory may be written to
    return None, array
