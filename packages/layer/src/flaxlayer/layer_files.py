"""The weights of a `FlaxLayer` in files of Keras (W3, W4, W5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from flaxlayer.building import LayerBuilder
from flaxlayer.calls.runner import Runner
from flaxlayer.compat.keras_stores import reopen, shared_part
from flaxlayer.inputs import BuildInputs
from flaxlayer.saving.weights_files import StoredWeights, open_weights, weakly, write_weights
from flaxlayer.typing import KerasStore

__all__ = ["LayerFiles"]


class LayerFiles:
    """Writes the variables of a layer, and reads them; where it is not built, builds it of them.

    Args:
        runner: Runs the method of the layer.
        builder: Builds the layer.
    """

    def __init__(self, runner: Runner, builder: LayerBuilder) -> None:
        self._runner, self._hosted, self._builder = runner, runner.hosted, builder
        self._refusal: tuple[Callable[[], Any], Exception] | None = None

    def write(self, store: KerasStore) -> None:
        """Writes the variables by path, and which inputs they were built for."""
        hosted, inputs = self._hosted, self._runner.cache.inputs
        write_weights(hosted.weights, self._own_variables(), inputs, store, title=hosted.title)

    def read(self, store: KerasStore) -> None:
        """Reads the variables; see `FlaxLayer.load_own_variables`."""
        try:
            self._read(open_weights(store, title=self._hosted.title))
        except Exception as error:
            reopen(store)
            self._refusal = weakly(shared_part(store)), error
            raise

    def _read(self, file: StoredWeights) -> None:
        # Keras looks for a layer that failed at further places, and forgets it if one is empty.
        refusal, place = self._refusal, shared_part(file.store)
        if file.empty and refusal is not None and refusal[0]() is place:
            raise refusal[1]
        known = self._runner.cache.inputs
        # What a file names of a layer that is built need not be known (S2).
        inputs = file.inputs() if known is None or known.guessed else None
        if inputs is not None:
            with self._builder.restored():
                self._build_of(file, inputs)
        else:
            # B6: what this load made itself needs not be as it was if it fails.
            atomic = not self._builder.is_of_this_load
            file.assign(self._hosted.weights, self._own_variables(), atomic=atomic)
        self._refusal = None

    def _build_of(self, file: StoredWeights, inputs: BuildInputs) -> None:
        before = self._hosted.weights
        self._builder.build_for(inputs, file)
        weights, own = self._hosted.weights, self._own_variables()
        assert weights is not None
        kept = before is not None and before.variables is weights.variables
        if kept or self._builder.overridden:
            file.assign(weights, own)
        else:  # B6: the variables have been made of what the file has
            file.assign_own(own)

    def _own_variables(self) -> list[keras.Variable]:
        # W5: Keras numbers what the layer itself tracks, in the order that its own files have.
        tracked: dict[str, keras.Variable] = {}
        keras.layers.Layer.save_own_variables(self._runner.layer, tracked)
        weights = self._hosted.weights
        module = set() if weights is None else set(map(id, weights.variables))
        return [variable for variable in tracked.values() if id(variable) not in module]
