"""An eager call, beside a jitted raw apply and beside `keras.layers.FlaxLayer` (A6).

Run: `python -m benchmarks.eager_call`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import keras

from benchmarks.backend import print_backend
from benchmarks.models import MODELS
from benchmarks.timing import alternate
from flaxlayer import FlaxLayer

__all__ = ["measure"]


def measure(name: str) -> dict[str, float]:
    """Returns seconds for one call of `raw`, `ours` and `reference`."""
    model = MODELS[name]
    module, x = model.make(), jnp.asarray(model.inputs())
    ours = FlaxLayer(module)
    ours(x)
    variables = ours.flax_variables()
    reference = keras.layers.FlaxLayer(module, variables=variables)
    apply = jax.jit(module.apply)
    quick = {"raw": lambda: apply(variables, x), "ours": lambda: ours(x)}
    times = alternate(quick, calls=200 if name == "mlp" else 50)
    slow = alternate({"reference": lambda: reference(x), **quick}, rounds=3, calls=3)
    return {**times, "reference": slow["reference"]}


def main() -> None:
    """Prints a table in Markdown."""
    print_backend()
    print("| model | raw jitted apply | FlaxLayer | goal: 1.5 x raw + 150 us | reference |")
    print("| --- | --- | --- | --- | --- |")
    for name in ("mlp", "transformer"):
        t = {key: seconds * 1e6 for key, seconds in measure(name).items()}
        row = f"{t['raw']:.0f} us | {t['ours']:.0f} us ({t['ours'] / t['raw']:.2f}x)"
        goal = 1.5 * t["raw"] + 150
        print(
            f"| {name} | {row} | {goal:.0f} us | {t['reference']:.0f} us "
            f"({t['reference'] / t['raw']:.0f}x) |"
        )


if __name__ == "__main__":
    main()
