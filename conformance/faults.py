"""Faulty layers, each broken in one way, and the check and message that must catch it (T5)."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer import FlaxLayer, FlaxLayerError
from flaxlayer.compat import in_stateless_scope
from flaxlayer.weights import FlaxWeights
from flaxlayer_core.compat import trace_state_clean


@dataclass(frozen=True)
class Fault:
    """A faulty layer; its healthy twin is `FlaxLayer`.

    Attributes:
        layer: The layer.
        check: The name of the check that must catch it.
        error: The name of the error's class.
        message: A part of the error's message.
        budget: The most generated modules that a search may need to find it.
    """

    layer: type[FlaxLayer]
    check: str
    error: str
    message: str
    budget: int


FAULTS: list[Fault] = []


def fault(check, error, message, *, budget=20):
    """Enters a faulty layer into the zoo."""

    def enter(layer):
        keras.saving.register_keras_serializable("faults")(layer)
        FAULTS.append(Fault(layer, check, error, message, budget))
        return layer

    return enter


# Build.


@fault("check_build_paths", "KeepLawError", "do not stand at the paths")
class NamesWeightsByNumber(FlaxLayer):
    def _create(self, inputs):
        super()._create(inputs)
        for number, variable in enumerate(self._flax_weights.variables):
            variable._path = f"{self.name}/variable_{number}"


@fault("check_build_dtypes", "KeepLawError", "is not stored as the module made it")
class CastsParamsToFloat32(FlaxLayer):
    def _create(self, inputs):
        self._explicit_dtype = True
        super()._create(inputs)
        self._explicit_dtype = False


@fault("check_build_values", "ParityError", "initial variables")
class InitialisesWithAnotherSeed(FlaxLayer):
    def _create(self, inputs):
        self._seed += 1
        super()._create(inputs)
        self._seed -= 1


@fault("check_symbolic_shapes", "KeepLawError", "outputs of a symbolic call")
class PromisesFloat32(FlaxLayer):
    def compute_output_spec(self, *args, **kwargs):
        outputs = super().compute_output_spec(*args, **kwargs)
        return jax.tree.map(lambda t: keras.KerasTensor(t.shape, "float32"), outputs)


# Calls.


@fault("check_inference", "ParityError", "outputs in inference")
class AlwaysTrains(FlaxLayer):
    def _execute(self, arrays, structure, training):
        return super()._execute(arrays, structure, True)


@fault("check_training", "ParityError", "outputs in training")
class IgnoresTheTrainingFlag(FlaxLayer):
    def _execute(self, arrays, structure, training):
        return super()._execute(arrays, structure, False)


@fault("check_sown", "ParityError", "sown in")
class ForgetsSownValues(FlaxLayer):
    @property
    def sown(self):
        return {}


@fault("check_losses", "ParityError", "added losses differs in value")
class AddsNoLosses(FlaxLayer):
    @property
    def losses_collections(self):
        return ()


@fault("check_stateless_call", "ParityError", "state of stateless_call in training")
class KeepsNoStateInsideATrace(FlaxLayer):
    def writable(self, changed, training):
        return [] if in_stateless_scope() else super().writable(changed, training)


@fault("check_functional_model", "ParityError", "outputs of a functional model")
class MakesNewWeightsForAModel(FlaxLayer):
    def __call__(self, *args, **kwargs):
        if self.built and any(isinstance(arg, keras.KerasTensor) for arg in args):
            return FlaxLayer(self.module, seed=self._seed + 1)(*args, **kwargs)
        return super().__call__(*args, **kwargs)


# State.


@fault("check_state_training", "ParityError", "variables after training")
class DropsStateUpdates(FlaxLayer):
    def writable(self, changed, training):
        return []


@fault("check_state_inference", "ParityError", "variables after inference", budget=30)
class WritesStateAtInference(FlaxLayer):
    def _discovery_for(self, structure, arrays):
        found = super()._discovery_for(structure, arrays)
        inference = replace(found.inference, denied=("params",))
        self._call_state.latest = replace(found, inference=inference)
        return self._call_state.latest


@fault("check_frozen_layer", "ParityError", "variables of a frozen layer")
class WritesStateWhenFrozen(FlaxLayer):
    def writable(self, changed, training):
        return [(self._flax_weights.variables[i], value) for i, value in changed.items()]


@fault("check_frozen_paths", "KeepLawError", "Freezing leaves other weights trainable")
class IgnoresFrozenPaths(FlaxLayer):
    def freeze(self, *patterns):
        pass


# Random numbers.


@fault("check_streams", "KeepLawError", "which the module never draws from")
class PassesAStreamTooMany(FlaxLayer):
    def _discovery_for(self, structure, arrays):
        found = super()._discovery_for(structure, arrays)
        streams = tuple(sorted({*found.training.streams, "unused"}))
        self._call_state.latest = replace(found, training=replace(found.training, streams=streams))
        return self._call_state.latest


@fault("check_fresh_keys", "KeepLawError", "Two training calls draw the same key")
class ReusesTheFirstKey(FlaxLayer):
    def _commit(self, outcome, training):
        super()._commit(replace(outcome, seed=None), training)


@fault("check_no_draw", "KeepLawError", "drew a seed")
class AlwaysDrawsASeed(FlaxLayer):
    def _execute(self, arrays, structure, training):
        self.seed_generator.next()
        return super()._execute(arrays, structure, training)


@fault("check_seed", "ParityError", "variables of equal seeds")
class IgnoresTheSeed(FlaxLayer):
    numbers = itertools.count()

    def __init__(self, module, **kwargs):
        super().__init__(module, **{**kwargs, "seed": next(self.numbers)})


# Learning.


@fault("check_gradients", "ParityError", "gradients of inputs")
class StopsGradientsOfInputs(FlaxLayer):
    def _run(self, arrays, structure, training, clean):
        arrays = arrays if clean else [jax.lax.stop_gradient(array) for array in arrays]
        return super()._run(arrays, structure, training, clean)


@fault("check_train_step", "ParityError", "variables after one step")
class ForgetsToTrainAWeight(FlaxLayer):
    def _create(self, inputs):
        super()._create(inputs)
        for variable in self.trainable_variables[-1:]:
            variable.trainable = False


@fault("check_fit", "KeepLawError", "Two training calls draw the same key")
class ReusesTheFirstKeyInFit(FlaxLayer):
    def _commit(self, outcome, training):
        kept = outcome if trace_state_clean() else replace(outcome, seed=None)
        super()._commit(kept, training)


# Weights and files.


@fault("check_variables_tree", "ParityError", "variables loaded")
class LoadsParamsOnly(FlaxLayer):
    def load_flax_variables(self, tree):
        super().load_flax_variables({"params": tree.get("params", {})})


class _Swapped(FlaxWeights):
    def values(self):
        values = super().values()
        for a, b in itertools.combinations(range(len(values)), 2):
            if (values[a].shape, values[a].dtype) == (values[b].shape, values[b].dtype):
                values[a], values[b] = values[b], values[a]
                break
        return values


@fault("check_weight_values", "ParityError", "weights by path")
class SwapsTwoEqualShapedWeights(FlaxLayer):
    @property
    def _flax_weights(self):
        weights = super()._flax_weights
        return _Swapped(weights.layout, weights.variables)


@fault("check_config", "ParityError", "variables from a configuration")
class ForgetsTheSeedInItsConfig(FlaxLayer):
    def get_config(self):
        return {**super().get_config(), "seed": 12345}


@fault("check_saved_model", "ParityError", "variables of a file")
class LoadsNothing(FlaxLayer):
    def load_own_variables(self, store):
        pass


@fault("check_weights_file", "ParityError", "variables of a weights file")
class RoundsWeightsInFiles(FlaxLayer):
    def save_own_variables(self, store):
        kept = {}
        super().save_own_variables(kept)
        for name, variable in kept.items():
            value = np.asarray(variable.value)
            floating = jnp.issubdtype(value.dtype, jnp.floating)
            store[name] = value.astype(jnp.bfloat16).astype("float32") if floating else value


# Bad input.


@fault("check_wrong_arguments", "KeepLawError", "an unknown argument")
class SwallowsUnknownArguments(FlaxLayer):
    def __call__(self, *args, **kwargs):
        kwargs.pop("no_such_argument", None)
        return super().__call__(*args, **kwargs)


@fault("check_wrong_shapes", "KeepLawError", "inputs of a wrong shape")
class PassesOnRawErrors(FlaxLayer):
    def _explain_misfit(self, arrays, error):
        pass


@fault("check_wrong_variables", "KeepLawError", "an unknown variable")
class IgnoresWrongVariables(FlaxLayer):
    def load_flax_variables(self, tree):
        with contextlib.suppress(FlaxLayerError):
            super().load_flax_variables(tree)
