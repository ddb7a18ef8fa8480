"""Layers that do not come back whole from files and copies (§8)."""

from __future__ import annotations

import weakref
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from conformance.faults.entry import fault
from conformance.faults.parts import FaultyRunner, MayRound, rounded
from flaxlayer import FlaxLayer
from flaxlayer.building import LayerBuilder


@fault("check_config", "ParityError", "variables from a configuration")
class ForgetsTheSeedInItsConfig(FlaxLayer):
    def get_config(self):
        return {**super().get_config(), "seed": 12345}


@fault("check_saved_model", "ParityError", "variables of a file")
class LoadsNothing(FlaxLayer):
    def load_own_variables(self, store):
        pass


@fault("check_model_json", "ParityError", "variables of a model from JSON")
class HidesItsWeights(FlaxLayer):
    @property
    def weights(self):
        return []


@fault("check_cloned_model", "ParityError", "variables of a cloned model")
class HidesItsState(FlaxLayer):
    @property
    def weights(self):
        return [variable for variable in super().weights if variable.trainable]


@fault("check_copied_model", "ParityError", "variables of a copied model")
class SharesWeightsWithItsCopies(FlaxLayer):
    known: ClassVar = weakref.WeakValueDictionary()

    def get_config(self):
        self.known[self.name] = self
        return super().get_config()

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self._hosted.weights = self.known[self.name]._hosted.weights


class _KeepsTheFirstWeights(LayerBuilder):
    def create(self, *inputs):
        super().create(*inputs)
        self._layer.first = self._layer.get_weights()


@fault("check_pickled_model", "ParityError", "variables of a pickle")
class SavesWhatItWasBuiltWith(FlaxLayer):
    _builder_class = _KeepsTheFirstWeights

    def save_own_variables(self, store):
        now = self.get_weights()
        self.set_weights(self.first)
        super().save_own_variables(store)
        self.set_weights(now)


@fault("check_exported_model", "ParityError", "outputs of an exported model")
class RoundsInsideATrace(FaultyRunner):
    def execute(self, arrays, structure, training):
        if not self.backend.is_outermost():
            arrays = [rounded(array) for array in arrays]
        return super().execute(arrays, structure, training)


@fault("check_weights_file", "ParityError", "variables of a weights file")
class RoundsWeightsInFiles(FlaxLayer):
    def save_own_variables(self, store):
        kept = {}
        super().save_own_variables(kept)
        for name, variable in kept.items():
            value = np.asarray(getattr(variable, "value", variable))
            floating = jnp.issubdtype(value.dtype, jnp.floating)
            store[name] = value.astype(jnp.bfloat16).astype("float32") if floating else value


@fault("check_saved_subclass", "ParityError", "variables of a subclassed model from a file")
class LoadsOnlyIntoWhatAConfigurationMade(FlaxLayer):
    def load_own_variables(self, store):
        if self._hosted.from_file:
            super().load_own_variables(store)


class _RoundsOnceItIsLoaded(FlaxLayer):
    _runner_class = MayRound

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self._runner.rounds = True


@fault("check_saved_subclass", "ParityError", "outputs of a subclassed model from a file")
class RoundsOnceItIsLoaded(_RoundsOnceItIsLoaded):
    pass


@fault("check_saved_model", "ParityError", "outputs of a file")
class RoundsInALoadedModel(_RoundsOnceItIsLoaded):
    pass
