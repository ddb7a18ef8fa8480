"""Layers that move what is frozen, or that do not thaw (§3)."""

from __future__ import annotations

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer
from flaxlayer.compat.private_keras import in_stateless_scope
from flaxlayer.hosted import HostedModule


def _all(hosted, changed):
    return [(hosted.weights.variables[index], value) for index, value in changed.items()]


@fault("check_frozen_layer", "ParityError", "variables of a frozen layer")
class WritesStateWhenFrozen(HostedModule):
    def writable(self, changed, training):
        return _all(self, changed)


@fault("check_frozen_layer", "ParityError", "variables of a thawed layer")
class StaysFrozen(HostedModule):
    was_frozen = False

    def writable(self, changed, training):
        self.was_frozen |= not self.layer.trainable
        return [] if self.was_frozen else super().writable(changed, training)


@fault("check_frozen_trace", "ParityError", "variables of a frozen layer in a trace")
class WritesStateInATraceWhenFrozen(HostedModule):
    def writable(self, changed, training):
        return _all(self, changed) if in_stateless_scope() else super().writable(changed, training)


@fault("check_frozen_trace", "ParityError", "variables of a thawed layer in a trace")
class StaysFrozenInATrace(HostedModule):
    was_frozen = False

    def writable(self, changed, training):
        self.was_frozen |= not self.layer.trainable
        kept = self.was_frozen and in_stateless_scope()
        return [] if kept else super().writable(changed, training)


@fault("check_frozen_params", "KeepLawError", "leaves other weights trainable than it should.")
class IgnoresFrozenPaths(FlaxLayer):
    def freeze(self, *patterns):
        pass


@fault("check_frozen_params", "ParityError", "variables after a step with frozen weights")
class MovesFrozenWeights(HostedModule):
    def writable(self, changed, training):
        writes = super().writable(changed, training)
        pairs = zip(self.weights.layout.specs, self.weights.variables, strict=True)
        frozen = [variable for spec, variable in pairs if spec.path in self.frozen.paths]
        moving = frozen if in_stateless_scope() else ()
        return [*writes, *((variable, variable.value + 1) for variable in moving)]


@fault("check_frozen_params", "ParityError", "variables after a step with thawed weights")
class GivesThawedWeightsTheirGradient(FlaxLayer):
    def unfreeze(self, *patterns):
        super().unfreeze(*patterns)
        for variable in self.trainable_variables:
            variable.overwrite_with_gradient = True


@fault("check_frozen_state", "ParityError", "variables with frozen state")
class WritesFrozenState(HostedModule):
    def writable(self, changed, training):
        return _all(self, changed) if self.layer.trainable else []


@fault("check_frozen_state", "ParityError", "variables with thawed state")
class KeepsStateFrozen(FlaxLayer):
    def unfreeze(self, *patterns):
        frozen = self._hosted.frozen
        paths = frozen.paths
        super().unfreeze(*patterns)
        frozen.paths = paths
