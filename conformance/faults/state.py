"""Layers that lose state, or write it where they should not (§3)."""

from __future__ import annotations

from dataclasses import replace

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer
from flaxlayer.calls.runner import Runner
from flaxlayer.hosted import HostedModule


@fault("check_state_training", "ParityError", "variables after training")
class DropsStateUpdates(HostedModule):
    def writable(self, changed, training):
        return []


@fault("check_state_inference", "ParityError", "variables after inference", budget=300)
class WritesStateAtInference(Runner):
    def latest_spec(self, structure, arrays):
        found = super().latest_spec(structure, arrays)
        inference = replace(found.inference, denied=("params",))
        self.cache.latest = replace(found, inference=inference)
        return self.cache.latest


@fault("check_frozen_layer", "ParityError", "variables of a frozen layer")
class WritesStateWhenFrozen(HostedModule):
    def writable(self, changed, training):
        return [(self.weights.variables[i], value) for i, value in changed.items()]


@fault("check_frozen_paths", "KeepLawError", "Freezing leaves other weights trainable")
class IgnoresFrozenPaths(FlaxLayer):
    def freeze(self, *patterns):
        pass
