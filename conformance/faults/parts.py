"""Parts of a layer that a fault breaks, in their places in a layer."""

from __future__ import annotations

from flaxlayer import FlaxLayer
from flaxlayer.building import LayerBuilder
from flaxlayer.calls.runner import Runner
from flaxlayer.calls.settling import Settler
from flaxlayer.hosted import HostedModule

__all__ = ["FaultyRunner", "layer_of"]

_PLACES = {
    Runner: "_runner_class",
    Settler: "_settler_class",
    HostedModule: "_hosted_class",
    LayerBuilder: "_builder_class",
}


class FaultyRunner(Runner):
    """A runner whose every call goes through `execute`, which faults override."""

    def execute_compiled(self, call, arrays):
        return self.execute(list(arrays), call.structure, call.pure.plan.training)


def layer_of(faulty):
    """Returns the layer that a faulty part makes, in its module and by its name."""
    if issubclass(faulty, FlaxLayer):
        return faulty
    place = next(name for part, name in _PLACES.items() if issubclass(faulty, part))
    return type(faulty.__name__, (FlaxLayer,), {place: faulty, "__module__": faulty.__module__})
