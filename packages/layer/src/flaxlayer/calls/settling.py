"""The build of a layer by a call: once, or again where dtypes were supposed wrongly (A8, A10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import keras

from flaxlayer.calls.runner import Runner
from flaxlayer.calls.sequential_inputs import is_asking, keep_dtypes, open_inputs
from flaxlayer.calls.supposed_dtypes import build_supposing
from flaxlayer.compat import private_keras
from flaxlayer.explained_errors import raise_explained
from flaxlayer.inputs import BuildInputs, array_specs
from flaxlayer_core import ArgumentStructure, Array

__all__ = ["Builder", "Settler"]


class Builder(Protocol):
    """What builds a layer for the inputs of its first call."""

    def build_for(self, inputs: BuildInputs) -> None:
        """Builds the layer, or again for other dtypes than were supposed (A10)."""


class Settler:
    """Sees to it that a layer is built when a call needs it.

    Args:
        runner: Runs the method of the layer.
        builder: Builds the layer.
    """

    def __init__(self, runner: Runner, builder: Builder) -> None:
        self._runner, self._builder = runner, builder

    @property
    def settled(self) -> bool:
        """Whether the layer is built, and nothing of it was only supposed."""
        return self._runner.cache.settled and bool(self._runner.layer.built)

    def settle(
        self,
        arrays: Sequence[Array],
        structure: ArgumentStructure,
        *,
        refusable: frozenset[bool] = frozenset(),
    ) -> None:
        """Builds the layer for a call, or again where its dtypes were supposed wrongly.

        Args:
            arrays: The arrays of the arguments, masks included.
            structure: Their structure.
            refusable: The modes that the module may refuse, as long as it runs in the other one.
        """
        if self.settled or (self._runner.layer.built and is_asking()):
            return
        try:
            with self._runner.hosted.locks.build:  # A8
                if not self.settled:
                    self.settle_for(arrays, structure, refusable)
        except Exception as error:
            raise_explained(error, self._runner.title)

    def keep_dtypes(self, arrays: Sequence[Array]) -> None:
        """Sees to it that a Sequential model casts nothing on its way to a layer that is built.

        Args:
            arrays: The arrays of the arguments.
        """
        known = self._runner.cache.inputs
        symbolic = any(isinstance(array, keras.KerasTensor) for array in arrays)
        if known is not None and (symbolic or private_keras.in_symbolic_scope()):
            keep_dtypes(known.dtypes)

    def settle_for(
        self, arrays: Sequence[Array], structure: ArgumentStructure, refusable: frozenset[bool]
    ) -> None:
        """Builds the layer for a call."""
        cache, backend = self._runner.cache, self._runner.backend
        supposed = cache.open_to(open_inputs()) or private_keras.in_symbolic_scope()
        values = list(map(backend.to_jax, arrays)) if backend.has_values(arrays) else None
        specs = array_specs(arrays)
        inputs = BuildInputs(
            specs, structure, values, called=True, guessed=supposed, refusable=refusable
        )
        if cache.guessed:
            self._correct(inputs)
        elif supposed:
            build_supposing(inputs, self._builder.build_for)
        else:
            self._builder.build_for(inputs)

    def _correct(self, inputs: BuildInputs) -> None:
        cache = self._runner.cache
        known = cache.inputs
        assert known is not None
        if known.structure != inputs.structure or known.allows(inputs):
            cache.take(replace(known, guessed=inputs.guessed))
        else:
            self._builder.build_for(known.corrected(inputs))
