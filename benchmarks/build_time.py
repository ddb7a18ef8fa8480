"""Building a layer, beside `module.init` and `keras.layers.FlaxLayer`, in fresh processes (B1, B2).

Run: `python -m benchmarks.build_time`. Compiled code is not cached between the processes.
"""

from __future__ import annotations

import sys
import time

from benchmarks.backend import print_backend
from benchmarks.timing import time_processes

__all__ = ["WAYS", "measure"]

WAYS = ("ours", "eager_init", "jitted_init", "reference")


def _build(way: str, name: str) -> float:
    import jax
    import keras

    from benchmarks.models import MODELS
    from flaxlayer import FlaxLayer

    model = MODELS[name]
    module, x = model.make(), jax.numpy.asarray(model.inputs())
    flag = {"training": True} if model.flag else {}
    start = time.perf_counter()
    if way == "ours":
        layer = FlaxLayer(module)
        layer.build(model.shape)
        values = [variable.value for variable in layer.weights]
    elif way == "reference":
        layer = keras.layers.FlaxLayer(module)
        layer.build(model.shape)
        values = [variable.value for variable in layer.weights]
    elif way == "eager_init":
        keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        values = module.init(keys, x, **flag)
    else:
        keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        values = jax.jit(lambda keys, x: module.init(keys, x, **flag))(keys, x)
    jax.block_until_ready(values)
    return time.perf_counter() - start


def measure(name: str, rounds: int = 3) -> dict[str, float]:
    """Returns the median seconds of a build by each way, each in a process of its own."""
    return time_processes("benchmarks.build_time", WAYS, name, rounds)


def main() -> None:
    """Prints a table in Markdown; with a way and a model, the seconds of one build."""
    if len(sys.argv) == 3:
        print(_build(*sys.argv[1:]))
        return
    print_backend()
    print("| model | FlaxLayer | eager init | jitted init | reference |")
    print("| --- | --- | --- | --- | --- |")
    for name in ("mlp", "transformer", "resnet50"):
        t = measure(name)
        print(f"| {name} | " + " | ".join(f"{t[way]:.2f} s" for way in WAYS) + " |")


if __name__ == "__main__":
    main()
