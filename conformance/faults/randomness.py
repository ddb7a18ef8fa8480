"""Layers that mistake keys, streams and seeds (§4)."""

from __future__ import annotations

import itertools
from dataclasses import replace

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer


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
