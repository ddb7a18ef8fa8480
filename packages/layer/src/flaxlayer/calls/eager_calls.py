"""Outermost eager calls on plain arrays, for which Keras has nothing to do around a call (A6)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

import numpy as np

from flaxlayer.calls.cache import CompiledCall
from flaxlayer.calls.runner import Runner
from flaxlayer.compat import private_keras
from flaxlayer.typing import Args, Array, Kwargs, PyTree
from flaxlayer_core import holds_numbers, partition, prng_impl, unwrap_statics

__all__ = ["NOT_TAKEN", "EagerCalls"]

NOT_TAKEN: Final = object()


class EagerCalls:
    """The short way from the arguments of a Keras layer to its outputs.

    Args:
        runner: Runs the method.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def run(self, args: Args, kwargs: Kwargs) -> PyTree:
        """Runs a call; returns `NOT_TAKEN` where Keras has something to do for it.

        Args:
            args: Positional arguments of the layer.
            kwargs: Its keyword arguments.
        """
        runner = self._runner
        hosted, cache = runner.hosted, runner.cache
        if not args or not cache.settled or hosted.losses:
            return NOT_TAKEN
        values: Args = args
        training = False
        if kwargs:
            if "mask" in kwargs:
                return NOT_TAKEN
            named = dict(sorted(kwargs.items()))  # as JAX flattens them
            training, kwargs = bool(named.pop("training", None)), named
            values = (*args, *kwargs.values())
        arrays = self._arrays_of(values)
        if arrays is None:
            return NOT_TAKEN
        if not (
            private_keras.is_plain_call(runner.layer, arrays) and runner.backend.is_outermost()
        ):
            return NOT_TAKEN
        context = hosted.flax_module.call_context()
        if context is None or float in map(type, values):
            arrays, structure = partition(args, kwargs, trace_numbers=True)
            return unwrap_statics(runner.execute(arrays, structure, training))
        kinds = tuple(map(type, args)), tuple(kwargs), tuple(map(type, kwargs.values()))
        key = (kinds, training, hosted.compute_dtype, context, prng_impl())
        call = cache.eager.get(key) or self._prepare(key, args, kwargs, training, context)
        if call is None:
            return unwrap_statics(runner.execute(*partition(args, kwargs), training))
        return unwrap_statics(runner.execute_compiled(call, arrays))

    def _prepare(
        self,
        key: Hashable,
        args: Args,
        kwargs: Kwargs,
        training: bool,
        context: Hashable,
    ) -> CompiledCall | None:
        # What a call of another kind, such as the one that built the layer, has compiled already.
        runner = self._runner
        structure = partition(args, kwargs)[1]
        call = runner.cache.calls.get(runner.key(structure, training, context))
        if call is not None:
            runner.cache.eager[key] = call
        return call

    def _arrays_of(self, values: Args) -> list[Array] | None:
        # None where there is anything else than arrays of numbers, None and floats.
        backend = self._runner.backend
        arrays: list[Array] = []
        for value in values:
            if isinstance(value, backend.array_types):
                arrays.append(value)
            elif value is not None and type(value) is not float:
                return None
        for array in arrays:
            if not isinstance(array.dtype, backend.dtype_types):
                return None
            if isinstance(array, np.ndarray) and not _holds_numbers(array):
                return None
        return arrays


def _holds_numbers(array: np.ndarray) -> bool:
    return array.dtype.names is None and holds_numbers(array.dtype)
