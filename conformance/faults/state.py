"""Layers that lose state, or write it where they should not (§3)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from conformance.faults.entry import fault
from flaxlayer.calls.runner import Runner
from flaxlayer.hosted import HostedModule


@fault("check_state_training", "ParityError", "variables after training")
class DropsStateUpdates(HostedModule):
    def writable(self, changed, training):
        return []


@fault("check_state_inference", "ParityError", "variables after inference", budget=300)
class WritesStateAtInference(Runner):
    def latest_spec(self, structure, arrays, training=None):
        found = super().latest_spec(structure, arrays, training)
        inference = replace(found.inference, denied=("params",))
        self.cache.latest = replace(found, inference=inference)
        return self.cache.latest


class _WithOtherUpdates(HostedModule):
    """Takes one `state_updates` for another."""

    mistaken: ClassVar = {}

    def writable(self, changed, training):
        when = self.settings.state_updates
        if when not in self.mistaken:
            return super().writable(changed, training)
        if self.mistaken[when] == "never":
            return []
        return [(self.weights.variables[index], value) for index, value in changed.items()]


@fault("check_state_updates", "ParityError", "variables with state_updates='never'")
class TakesNeverForAlways(_WithOtherUpdates):
    mistaken: ClassVar = {"never": "always"}


@fault("check_state_updates", "ParityError", "variables with state_updates='training'")
class TakesTrainingForNever(_WithOtherUpdates):
    mistaken: ClassVar = {"training": "never"}
