"""Layers that mistake the dtype policy (§5)."""

from __future__ import annotations

from dataclasses import fields

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer
from flaxlayer.program import PureCall


@fault("check_mixed_policy", "ParityError", "outputs under a mixed policy differs in dtype")
class IgnoresTheMixedPolicy(FlaxLayer):
    @property
    def _compute_cast(self):
        return None


class _RoundsState(PureCall):
    def _cast_params(self, values):
        kept = super()._cast_params(values)
        return [self._cast(value).astype(value.dtype) for value in kept]


@fault("check_mixed_policy", "ParityError", "variables under a mixed policy")
class RoundsStateUnderAMixedPolicy(FlaxLayer):
    def _program(self, *args):
        program = super()._program(*args)
        return _RoundsState(*(getattr(program, part.name) for part in fields(program)))


@fault("check_explicit_dtype", "KeepLawError", "is not stored as it should be")
class StoresTheDtypeOfTheModule(FlaxLayer):
    def _create(self, *inputs):
        self._explicit_dtype = False
        super()._create(*inputs)
        self._explicit_dtype = True
