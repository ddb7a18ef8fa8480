"""Layers that lose state, or write it where they should not (§3)."""

from __future__ import annotations

from dataclasses import replace

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer


@fault("check_state_training", "ParityError", "variables after training")
class DropsStateUpdates(FlaxLayer):
    def writable(self, changed, training):
        return []


@fault("check_state_inference", "ParityError", "variables after inference", budget=300)
class WritesStateAtInference(FlaxLayer):
    def _discovery_for(self, structure, arrays):
        found = super()._discovery_for(structure, arrays)
        inference = replace(found.inference, denied=("params",))
        self._call_state.latest = replace(found, inference=inference)
        return self._call_state.latest


@fault("check_frozen_layer", "ParityError", "variables of a frozen layer")
class WritesStateWhenFrozen(FlaxLayer):
    def writable(self, changed, training):
        return [(self._flax_weights.variables[i], value) for i, value in changed.items()]


@fault("check_frozen_paths", "KeepLawError", "Freezing leaves other weights trainable")
class IgnoresFrozenPaths(FlaxLayer):
    def freeze(self, *patterns):
        pass
