"""Layers whose methods, or the module that they hand back, are not the module's (§5, §7)."""

from __future__ import annotations

from dataclasses import replace

import flax.linen as nn

from conformance.faults.entry import fault
from conformance.faults.parts import FaultyRunner, rounded
from flaxlayer import FlaxLayer
from flaxlayer.calls.runner import Runner


@fault("check_methods", "ParityError", "outputs of the method")
class RoundsInMethods(FaultyRunner):
    def execute(self, arrays, structure, training):
        if self.method is not self.hosted.method:
            arrays = [rounded(array) for array in arrays]
        return super().execute(arrays, structure, training)


@fault("check_methods", "ParityError", "variables of the method")
class KeepsNoStateOfMethods(Runner):
    def commit(self, result, training):
        own = self.method is self.hosted.method
        super().commit(result if own else replace(result, changed={}), training)


@fault("check_method_variables", "ParityError", "outputs of the method")
class RoundsInTheMethodOfALayer(FaultyRunner):
    def execute(self, arrays, structure, training):
        if self.hosted.settings.method is not None:
            arrays = [rounded(array) for array in arrays]
        return super().execute(arrays, structure, training)


@fault("check_bound_module", "KeepLawError", "is not the module that the layer was made of")
class BindsAnotherModule(FlaxLayer):
    def to_module(self):
        return nn.Sequential([]).bind(self.flax_variables())
