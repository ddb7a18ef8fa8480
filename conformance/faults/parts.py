"""Parts of a layer that a fault breaks, in their places in a layer."""

from __future__ import annotations

import jax.numpy as jnp

from flaxlayer import FlaxLayer
from flaxlayer.building import LayerBuilder
from flaxlayer.calls.runner import Runner
from flaxlayer.calls.settling import Settler
from flaxlayer.hosted import HostedModule

__all__ = ["PLACES", "FaultyRunner", "MayRound", "layer_of", "rounded"]

PLACES = {
    Runner: "_runner_class",
    Settler: "_settler_class",
    HostedModule: "_hosted_class",
    LayerBuilder: "_builder_class",
}
"""The parts of a layer that a fault may break, and the attribute of each."""


class FaultyRunner(Runner):
    """A runner whose every call goes through `execute`, which faults override."""

    def execute_compiled(self, call, arrays):
        return self.execute(list(arrays), call.structure, call.pure.plan.training)


def layer_of(faulty):
    """Returns the layer that a faulty part makes, in its module and by its name."""
    if issubclass(faulty, FlaxLayer):
        return faulty
    place = next(name for part, name in PLACES.items() if issubclass(faulty, part))
    return type(faulty.__name__, (FlaxLayer,), {place: faulty, "__module__": faulty.__module__})


class MayRound(FaultyRunner):
    """A runner that rounds its inputs once it is told to."""

    rounds = False

    def execute(self, arrays, structure, training):
        arrays = [rounded(array) for array in arrays] if self.rounds else arrays
        return super().execute(arrays, structure, training)


def rounded(array):
    """Returns a floating array in the precision of bfloat16, any other as it is."""
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    return jnp.asarray(array, jnp.bfloat16).astype(array.dtype) if floating else array
