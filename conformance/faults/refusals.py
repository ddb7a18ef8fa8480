"""Layers that take bad input, or do not explain it (§11)."""

from __future__ import annotations

import flax.linen as nn

from conformance.faults.entry import fault
from conformance.faults.parts import FaultyRunner, MayRound
from flaxlayer import FlaxLayer, FlaxLayerError
from flaxlayer.calls.runner import Runner


@fault("check_wrong_arguments", "KeepLawError", "A layer takes an unknown argument.")
class SwallowsUnknownArguments(FlaxLayer):
    def __call__(self, *args, **kwargs):
        kwargs.pop("no_such_argument", None)
        return super().__call__(*args, **kwargs)


@fault("check_wrong_shapes", "KeepLawError", "A layer does not explain inputs of a wrong shape.")
class PassesOnRawErrors(Runner):
    def _refuse(self, error, arrays, structure):
        raise error


@fault("check_wrong_method", "KeepLawError", "the method no_such_method")
class TakesAnyMethod(FlaxLayer):
    def method(self, method, **kwargs):
        try:
            return super().method(method, **kwargs)
        except FlaxLayerError:
            return super().method("__call__", **kwargs)


@fault("check_wrong_config", "KeepLawError", "a foreign name in a configuration")
class LoadsAnyName(FlaxLayer):
    @classmethod
    def from_config(cls, config):
        try:
            return super().from_config(config)
        except FlaxLayerError:
            return cls(nn.Dense(1))


class _ChangesByArguments(FlaxLayer):
    """Does something else, too, when it refuses an argument."""

    def __call__(self, *args, **kwargs):
        try:
            return super().__call__(*args, **kwargs)
        except FlaxLayerError:
            self.change()
            raise


@fault("check_wrong_arguments", "KeepLawError", "argument has not the trainable variables that it")
class FreezesByARefusal(_ChangesByArguments):
    def change(self):
        self.trainable = False


@fault("check_wrong_arguments", "ParityError", "variables after an unknown argument")
class DrawsBeforeItRefuses(_ChangesByArguments):
    def change(self):
        self.seed_generator.next()


@fault("check_wrong_shapes", "ParityError", "outputs after inputs of a wrong shape")
class RoundsAfterARefusal(MayRound):
    def _refuse(self, *args):
        self.rounds = True
        super()._refuse(*args)


@fault("check_wrong_shapes", "KeepLawError", "A layer takes inputs of a wrong shape.")
class CutsInputsToSize(FaultyRunner):
    def execute(self, arrays, structure, training):
        specs = self.cache.inputs.specs if self.cache.inputs else ()
        if len(specs) == len(arrays):
            sizes = [spec.shape[1:] for spec in specs]
            pairs = zip(arrays, sizes, strict=True)
            arrays = [array[:, *map(slice, size)] if array.ndim else array for array, size in pairs]
        return super().execute(arrays, structure, training)


@fault("check_wrong_method", "KeepLawError", "A layer does not explain the method no_such_method.")
class ExplainsNoMethod(FlaxLayer):
    def method(self, method, **kwargs):
        try:
            return super().method(method, **kwargs)
        except FlaxLayerError as error:
            raise AttributeError from error
