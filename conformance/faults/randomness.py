"""Layers that mistake keys, streams and seeds (§4)."""

from __future__ import annotations

import itertools
from dataclasses import replace

import jax.numpy as jnp

from conformance.faults.entry import fault
from conformance.faults.parts import FaultyRunner
from flaxlayer import FlaxLayer
from flaxlayer.calls.runner import Runner


@fault("check_streams", "KeepLawError", "are not those that the module draws from.")
class PassesAStreamTooMany(Runner):
    def latest_spec(self, structure, arrays, training=None):
        found = super().latest_spec(structure, arrays, training)
        streams = tuple(sorted({*found.training.streams, "unused"}))
        self.cache.latest = replace(found, training=replace(found.training, streams=streams))
        return self.cache.latest


@fault("check_fresh_keys", "KeepLawError", "training call does not use the keys of its seed")
class ReusesTheFirstKey(Runner):
    def commit(self, result, training):
        super().commit(replace(result, seed=None), training)


@fault("check_no_draw", "KeepLawError", "drew a seed")
class AlwaysDrawsASeed(FaultyRunner):
    def execute(self, arrays, structure, training):
        self.hosted.seed_generator.next()
        return super().execute(arrays, structure, training)


@fault("check_seed", "ParityError", "variables of equal seeds")
class IgnoresTheSeed(FlaxLayer):
    numbers = itertools.count()

    def __init__(self, module, **kwargs):
        super().__init__(module, **{**kwargs, "seed": next(self.numbers)})


@fault("check_seed", "KeepLawError", "A layer without a seed does not take the one")
class StartsUnseededLayersAlike(FlaxLayer):
    def __init__(self, module, **kwargs):
        super().__init__(module, **{"seed": 0, **kwargs})


@fault("check_fresh_keys", "ParityError", "outputs of the first call with its keys")
class SkipsASeed(FaultyRunner):
    def execute(self, arrays, structure, training):
        self.hosted.seed_generator.next()
        return super().execute(arrays, structure, training)


@fault("check_seed_steps", "KeepLawError", "The seed of a layer does not count its draws.")
class CountsByTwo(Runner):
    def commit(self, result, training):
        if result.seed is not None:
            result = replace(result, seed=result.seed + jnp.array([0, 1], result.seed.dtype))
        super().commit(result, training)
