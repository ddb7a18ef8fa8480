"""Layers that take bad input, or do not explain it (§11)."""

from __future__ import annotations

import contextlib

import flax.linen as nn

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer, FlaxLayerError
from flaxlayer.calls.runner import Runner


@fault("check_wrong_arguments", "KeepLawError", "an unknown argument")
class SwallowsUnknownArguments(FlaxLayer):
    def __call__(self, *args, **kwargs):
        kwargs.pop("no_such_argument", None)
        return super().__call__(*args, **kwargs)


@fault("check_wrong_shapes", "KeepLawError", "inputs of a wrong shape")
class PassesOnRawErrors(Runner):
    def _misfit(self, arrays, error):
        return None


@fault("check_wrong_variables", "KeepLawError", "an unknown variable")
class IgnoresWrongVariables(FlaxLayer):
    def load_flax_variables(self, tree):
        with contextlib.suppress(FlaxLayerError):
            super().load_flax_variables(tree)


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
