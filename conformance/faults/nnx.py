"""Layers that mistake what nnx modules alone have: modes, streams, sharing, types of variables."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx

from conformance.faults.entry import fault
from conformance.faults.parts import FaultyRunner
from flaxlayer import FlaxLayer
from flaxlayer_core import NO_MODES, NnxModule, trace_state_clean

__all__: list[str] = []


def _fault(check, error, message):
    """Enters a faulty part into the zoo; of a faulty kind of nnx modules, the layer of it."""

    def enter(faulty):
        part = _layer_of(faulty) if issubclass(faulty, NnxModule) else faulty
        return fault(check, error, message, framework="nnx")(part)

    return enter


def _layer_of(kind):
    class Faulty(FlaxLayer):
        def __init__(self, module, **kwargs):
            super().__init__(module, **kwargs)
            self._hosted.flax_module = kind(module)

    Faulty.__name__ = Faulty.__qualname__ = kind.__name__
    return Faulty


@_fault("check_inference", "ParityError", "outputs in inference")
class FollowsTheGivenMode(NnxModule):
    def apply(self, variables, args, kwargs, **options):
        return super().apply(variables, args, kwargs, **{**options, "modes": NO_MODES})


@_fault("check_object_kept", "KeepLawError", "changes the object that it was given")
class SwitchesTheGivenObject(FaultyRunner):
    def execute(self, arrays, structure, training):
        module = self.hosted.flax_module.facts.module
        if isinstance(module, nnx.Module) and trace_state_clean():
            module.eval()
        return super().execute(arrays, structure, training)


@_fault("check_object_kept", "ParityError", "values of the given object")
class DrawsFromTheGivenObject(FaultyRunner):
    def execute(self, arrays, structure, training):
        module = self.hosted.flax_module.facts.module
        if isinstance(module, nnx.Module) and trace_state_clean():
            for _, node in nnx.iter_graph(module):
                if isinstance(node, nnx.RngStream):
                    node.count[...] += 1
        return super().execute(arrays, structure, training)


@_fault("check_build_paths", "KeepLawError", "do not stand at the paths")
class StoresItsStreams(NnxModule):
    def init(self, rngs, args, kwargs, **options):
        tree = super().init(rngs, args, kwargs, **options)
        counts = {name: jnp.zeros((), jnp.uint32) for name in self.offered_streams(init=False)}
        return {**tree, "rng_state": counts} if counts else tree

    def apply(self, variables, args, kwargs, **options):
        own = {name: tree for name, tree in variables.items() if name != "rng_state"}
        return super().apply(own, args, kwargs, **options)


@_fault("check_training", "ParityError", "outputs in training")
class GivesEveryLayerTheSameKey(NnxModule):
    def apply(self, variables, args, kwargs, *, method, rngs, **options):
        function = getattr(self._class, method) if isinstance(method, str) else method

        def run(module, *args, **kwargs):
            for _, node in nnx.iter_graph(module):
                if isinstance(node, nnx.RngStream) and node.tag in rngs and not node.key.shape:
                    node.key[...] = rngs[node.tag]
            return function(module, *args, **kwargs)

        return super().apply(variables, args, kwargs, method=run, rngs=rngs, **options)


def _untied(module, seen=None):
    """Gives every attribute a layer of its own."""
    seen = set() if seen is None else seen
    for name, value in list(vars(module).items()):
        if isinstance(value, nnx.Module):
            if id(value) in seen:
                setattr(module, name, nnx.clone(value))
            else:
                seen.add(id(value))
                _untied(value, seen)
    return module


@_fault("check_build_paths", "KeepLawError", "do not stand at the paths")
class UntiesSharedVariables(NnxModule):
    def __init__(self, module):
        make = (lambda rngs: nnx.clone(module)) if isinstance(module, nnx.Module) else module
        super().__init__(lambda rngs: _untied(make(rngs=rngs)))


_CLASSES = {"params": "Param", "batch_stats": "BatchStat", "cache": "Cache"}


@_fault("check_build_paths", "KeepLawError", "do not stand at the paths")
class NamesCollectionsByClass(NnxModule):
    def default_role(self, collection):
        return super().default_role(self._plain(collection))

    def _plain(self, collection):
        plain = {name: registered for registered, name in _CLASSES.items()}
        return plain.get(collection, collection)

    def init(self, rngs, args, kwargs, **options):
        return self._renamed(super().init(rngs, args, kwargs, **options))

    def _renamed(self, tree):
        return {_CLASSES.get(name, name): part for name, part in tree.items()}

    def apply(self, variables, args, kwargs, **options):
        given = {self._plain(name): part for name, part in variables.items()}
        outputs, updates = super().apply(given, args, kwargs, **options)
        return outputs, self._renamed(updates)


@_fault("check_bound_module", "ParityError", "outputs of the bound module")
class BindsRoundingLayers(FlaxLayer):
    def to_module(self):
        module = super().to_module()
        for _, node in nnx.iter_graph(module):
            if hasattr(node, "dtype") and isinstance(node, nnx.Module):
                node.dtype = jnp.bfloat16
        return module
