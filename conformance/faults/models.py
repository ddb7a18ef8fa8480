"""Layers that are wrong inside a model alone (§5, §6)."""

from __future__ import annotations

import contextlib

import jax
import keras

from conformance.faults.entry import fault
from conformance.faults.parts import FaultyRunner, MayRound, rounded
from flaxlayer import FlaxLayer
from flaxlayer.building import LayerBuilder
from flaxlayer.compat.private_keras import in_stateless_scope
from flaxlayer.hosted import HostedModule
from flaxlayer_core import trace_state_clean


@fault("check_functional_model", "ParityError", "outputs of a functional model")
class MakesNewWeightsForAModel(FlaxLayer):
    def __call__(self, *args, **kwargs):
        if self.built and any(isinstance(arg, keras.KerasTensor) for arg in args):
            return FlaxLayer(self.module, seed=self._hosted.seed + 1)(*args, **kwargs)
        return super().__call__(*args, **kwargs)


@fault("check_sequential_model", "ParityError", "outputs of a sequential model")
class RoundsInPredict(FaultyRunner):
    def execute(self, arrays, structure, training):
        arrays = [rounded(array) for array in arrays] if in_stateless_scope() else arrays
        return super().execute(arrays, structure, training)


@fault("check_subclassed_model", "ParityError", "outputs of a subclassed model")
class TrainsInPredict(FaultyRunner):
    def execute(self, arrays, structure, training):
        return super().execute(arrays, structure, training or in_stateless_scope())


@fault("check_subclassed_model", "ParityError", "outputs of a subclassed model")
class InitialisesOtherwiseWhenBuiltLate(LayerBuilder):
    def create(self, *inputs):
        self._hosted.seed += in_stateless_scope()
        super().create(*inputs)


class _KeepsTheFirstSizes(FaultyRunner):
    def execute(self, arrays, structure, training):
        if trace_state_clean():
            first = self.__dict__.setdefault("_first", [array.shape for array in arrays])
            sizes = [tuple(map(slice, shape)) for shape in first]
            arrays = [array[size] for array, size in zip(arrays, sizes, strict=True)]
        return super().execute(arrays, structure, training)


@fault("check_unknown_sizes", "ParityError", "outputs of a model of unknown sizes")
class KeepsTheFirstSizes(_KeepsTheFirstSizes):
    pass


@fault("check_masked_input", "KeepLawError", "whose dimensions it does not keep")
class CarriesTheMaskToEveryOutput(FlaxLayer):
    def __call__(self, *args, **kwargs):
        outputs = super().__call__(*args, **kwargs)
        mask = getattr(args[0], "_keras_mask", None) if args else None
        for leaf in jax.tree.leaves(outputs) if mask is not None else ():
            with contextlib.suppress(AttributeError):  # an array of NumPy takes no mask
                leaf._keras_mask = mask
        return outputs


@fault("check_unbuilt_sequential", "ParityError", "outputs of an unbuilt sequential model")
class RoundsInAModelThatIsNotBuilt(FlaxLayer):
    _runner_class = MayRound

    def __call__(self, *args, **kwargs):
        if not self.built and any(isinstance(arg, keras.KerasTensor) for arg in args):
            self._runner.rounds = True
        return super().__call__(*args, **kwargs)


@fault("check_other_batches", "ParityError", "outputs on batches of other sizes")
class KeepsTheFirstBatch(_KeepsTheFirstSizes):
    pass


@fault("check_subclassed_model", "ParityError", "variables of a subclassed model", budget=300)
class KeepsNoStateInPredict(HostedModule):
    def writable(self, changed, training):
        kept = in_stateless_scope() and not training
        return [] if kept else super().writable(changed, training)


@fault("check_masked_input", "ParityError", "outputs of a masked input")
class HidesMaskedSteps(FlaxLayer):
    def __call__(self, *args, **kwargs):
        mask = getattr(args[0], "_keras_mask", None) if args else None
        if mask is not None:
            steps = keras.ops.reshape(mask, (*mask.shape, *(1,) * (args[0].ndim - 2)))
            hidden = args[0] * keras.ops.cast(steps, args[0].dtype)
            hidden._keras_mask = mask
            args = (hidden, *args[1:])
        return super().__call__(*args, **kwargs)
