"""Flops and bytes of the compiled program of `stateless_call`, beside those of a raw apply.

Run: `python -m benchmarks.program_cost`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.backend import print_backend
from benchmarks.models import MODELS
from flaxlayer import FlaxLayer
from flaxlayer_core import next_seed, stream_rngs

__all__ = ["measure"]


def measure(name: str, training: bool) -> dict[str, dict[str, float]]:
    """Returns the cost analysis of `raw` and `ours` in one mode."""
    model = MODELS[name]
    module, x = model.make(), jnp.asarray(model.inputs())
    layer = FlaxLayer(module)
    layer.build(model.shape)
    trainable = [variable.value for variable in layer.trainable_variables]
    rest = [variable.value for variable in layer.non_trainable_variables]
    seed = layer.seed_generator.state.value
    flag = {"training": training} if model.flag else {}
    plan = layer.discovery.plan(training)

    def raw(variables: Any, seed: Any, x: Any) -> Any:
        keys = stream_rngs(seed, plan.streams) if plan.streams else {}
        outputs, updates = module.apply(variables, x, rngs=keys, mutable=plan.mutable, **flag)
        # A stateless call returns all state and the next seed, so that is what raw does too.
        state = {name: tree for name, tree in variables.items() if name != "params"}
        return outputs, {**state, **updates}, next_seed(seed) if keys else seed

    def ours(trainable: Any, rest: Any, x: Any) -> Any:
        return layer.stateless_call(trainable, rest, x, training=training)

    lowered = {
        "raw": jax.jit(raw).lower(layer.flax_variables(), seed, x),
        "ours": jax.jit(ours).lower(trainable, rest, x),
    }
    costs = {key: value.compile().cost_analysis() for key, value in lowered.items()}
    return {
        key: {"flops": cost["flops"], "bytes": cost["bytes accessed"]}
        for key, cost in costs.items()
    }


def main() -> None:
    """Prints a table in Markdown."""
    print_backend()
    print("| model | mode | flops raw | flops FlaxLayer | bytes raw | bytes FlaxLayer |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in ("mlp", "transformer", "resnet50"):
        for training in (False, True):
            cost = measure(name, training)
            mode = "training" if training else "inference"
            cells = [f"{cost[side][what]:.0f}" for what in ("flops", "bytes") for side in cost]
            print(f"| {name} | {mode} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
