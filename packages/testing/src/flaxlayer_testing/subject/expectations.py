"""What a built layer has to start from: its keys by R2, its variables by raw init (T10)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.subject.key_rule import KeyRule
from flaxlayer_testing.subject.layer import copied

__all__ = ["Expectations"]


@dataclass(frozen=True, eq=False)
class Expectations:
    """The keys and the initial variables of the layers of a subject.

    Attributes:
        oracle: The module, run by raw Flax.
        rule: How the layers derive keys; a layer is asked only where the rule of others does.
        seed: The seed of the layers.
    """

    oracle: Oracle
    rule: KeyRule
    seed: int
    _made: dict[tuple[int, bool, bool], dict[str, Any]] = field(
        default_factory=dict, init=False, repr=False
    )

    def build_draws(self, oracle: Oracle | None = None) -> int:
        """Returns how many seeds the build of a layer draws.

        Args:
            oracle: What the layer runs, if another call of the module.

        Returns:
            One where only a call at inference can build it, and draws.
        """
        built = oracle or self.oracle
        return 0 if self.oracle.traceable else int(built.needs_rng(training=False))

    def keys(
        self,
        layer: Any,
        *,
        training: bool,
        draws: int = 0,
        seed: int | None = None,
        oracle: Oracle | None = None,
    ) -> dict[str, Any]:
        """Returns the keys that a call of a layer has to use (R1, R2).

        Args:
            layer: A built layer.
            training: The mode.
            draws: How many calls since the build drew a seed.
            seed: Another seed than that of the subject.
            oracle: What the layer runs, if another call of the module.

        Returns:
            A key for each stream that the module draws from.
        """
        streams = (oracle or self.oracle).drawn_streams(training=training)
        number = self.seed if seed is None else seed
        drawn = self.build_draws(oracle) + draws
        return self.rule.of_call(layer, number, drawn, streams, training=training)

    def variables(
        self, layer: Any, *, seed: int | None = None, called: bool = False, seen: bool = False
    ) -> dict[str, Any]:
        """Returns the variables that a built layer has to have: those of raw init (B2).

        A layer that is built from shapes sees ones in the place of its inputs.

        Args:
            layer: A built layer.
            seed: Another seed than that of the subject.
            called: Whether an eager call at inference built it. It does so where the module cannot
                be traced; what that call changes is among the variables.
            seen: Whether the build saw the inputs, without a call.

        Returns:
            Its collections of params and state, copied.
        """
        number = self.seed if seed is None else seed
        called = called or not self.oracle.traceable
        known = number, called, called or seen
        if known in self._made:
            return copied(self._made[known])
        made = self._initial(layer, *known)
        if not self.rule.asks:
            self._made[known] = made
        return copied(made)

    def _initial(self, layer: Any, seed: int, called: bool, seen: bool) -> dict[str, Any]:
        oracle = self.oracle
        keys = self.rule.of_init(layer, seed, oracle.init_streams)
        whole = oracle.init(keys, unseen=not seen)
        made = {name: tree for name, tree in whole.items() if name in oracle.stored}
        if not called:
            return made
        streams = oracle.drawn_streams(training=False)
        keys = self.rule.of_call(layer, seed, 0, streams, training=False)
        _, updates = oracle.apply(made, keys, training=False)
        return oracle.next_variables(made, updates)
