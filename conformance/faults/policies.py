"""Layers that mistake the dtype policy (§5)."""

from __future__ import annotations

from dataclasses import fields

from conformance.faults.entry import fault
from flaxlayer.building import LayerBuilder
from flaxlayer.calls.runner import Runner
from flaxlayer.hosted import HostedModule
from flaxlayer.program import PureCall


@fault("check_mixed_policy", "ParityError", "outputs under a mixed policy differs in dtype")
class IgnoresTheMixedPolicy(HostedModule):
    @property
    def compute_dtype(self):
        return None


class _RoundsState(PureCall):
    def _cast_params(self, values):
        kept = super()._cast_params(values)
        return [self._cast(value).astype(value.dtype) for value in kept]


@fault("check_mixed_policy", "ParityError", "variables under a mixed policy")
class RoundsStateUnderAMixedPolicy(Runner):
    def pure_call(self, structure, plan, layout):
        pure = super().pure_call(structure, plan, layout)
        return _RoundsState(*(getattr(pure, part.name) for part in fields(pure)))


@fault("check_explicit_dtype", "KeepLawError", "is not stored as it should be")
class StoresTheDtypeOfTheModule(LayerBuilder):
    def create(self, *inputs):
        self._hosted.has_own_dtype = False
        super().create(*inputs)
        self._hosted.has_own_dtype = True


@fault("check_explicit_dtype", "ParityError", "outputs with an explicit dtype")
class StoresADtypeAndDoesNotCast(HostedModule):
    @property
    def compute_dtype(self):
        return None
