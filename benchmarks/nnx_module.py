"""An nnx module in a layer, beside `nnx.jit` and `nnx.Optimizer`: calls, builds and training.

Run: `python -m benchmarks.nnx_module`.
"""

from __future__ import annotations

import functools
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks import nnx_models
from benchmarks.backend import print_backend
from benchmarks.timing import alternate, time_processes
from benchmarks.train_step import BATCH, STEPS, fit_epoch, make_data, time_epochs
from flaxlayer import FlaxLayer

__all__ = ["measure_build", "measure_call", "measure_training"]

MODELS = {
    "mlp": (nnx_models.MLP, (8, 64)),
    "transformer": (nnx_models.Transformer, (1, 8, 128)),
}
WAYS = ("ours", "eager", "jitted")


def measure_call(name: str) -> dict[str, float]:
    """Returns seconds for one eager call of `raw` (`nnx.jit`), `apply` and `ours`.

    `apply` is a `jax.jit` of a merge and a call, the least that a functional call costs.
    """
    make, shape = MODELS[name]
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    layer = FlaxLayer(functools.partial(make))
    layer(x)
    module = layer.to_module()
    module.eval()
    raw = nnx.jit(lambda module, x: module(x))
    graphdef, state = nnx.split(module)
    apply = jax.jit(lambda state, x: nnx.merge(graphdef, state)(x))
    calls = {"raw": lambda: raw(module, x), "apply": lambda: apply(state, x)}
    calls["ours"] = lambda: layer(x)
    return alternate(calls, calls=200 if name == "mlp" else 50)


def _build(way: str, name: str) -> float:
    make, shape = MODELS[name]
    start = time.perf_counter()
    if way == "ours":
        layer = FlaxLayer(functools.partial(make))
        layer.build(shape)
        values: Any = [variable.value for variable in layer.weights]
    else:
        keys = nnx.Rngs(params=0, dropout=1)
        made = make(rngs=keys) if way == "eager" else nnx.jit(lambda rngs: make(rngs=rngs))(keys)
        values = jax.tree.leaves(nnx.state(made, nnx.Param))
    jax.block_until_ready(values)
    return time.perf_counter() - start


def measure_build(name: str, rounds: int = 3) -> dict[str, float]:
    """Returns the median seconds to make the weights by each way, in fresh processes."""
    return time_processes("benchmarks.nnx_module", WAYS, name, rounds)


def _raw_epoch(x: np.ndarray, y: np.ndarray) -> Any:
    module = nnx_models.CNN(rngs=nnx.Rngs(params=0, dropout=1))
    module.train()
    optimizer = nnx.Optimizer(module, optax.adam(1e-3), wrt=nnx.Param)

    @nnx.jit
    def step(module: Any, optimizer: Any, x: Any, y: Any) -> Any:
        def loss(module: Any) -> Any:
            losses = optax.softmax_cross_entropy_with_integer_labels(module(x), y)
            return losses.mean()

        value, grads = nnx.value_and_grad(loss)(module)
        optimizer.update(module, grads)
        return value

    def epoch() -> float:
        start = time.perf_counter()
        for i in range(STEPS):
            rows = slice(i * BATCH, (i + 1) * BATCH)
            value = step(module, optimizer, jnp.asarray(x[rows]), jnp.asarray(y[rows]))
        jax.block_until_ready(value)
        return (time.perf_counter() - start) / STEPS

    return epoch


def measure_training() -> dict[str, float]:
    """Returns median seconds of one step: `raw` and `ours`."""
    x, y = make_data()
    layer = FlaxLayer(functools.partial(nnx_models.CNN))
    return time_epochs({"raw": _raw_epoch(x, y), "ours": fit_epoch(layer, x, y)})


def main() -> None:
    """Prints tables in Markdown; with a way and a model, the seconds of one build."""
    if len(sys.argv) == 3:
        print(_build(*sys.argv[1:]))
        return
    print_backend()
    print("| model | nnx.jit | jitted merge and call | FlaxLayer |\n| --- | --- | --- | --- |")
    for name in MODELS:
        t = {key: seconds * 1e6 for key, seconds in measure_call(name).items()}
        print(
            f"| call of {name} | {t['raw']:.0f} us | {t['apply']:.0f} us | {t['ours']:.0f} us "
            f"({t['ours'] / t['raw']:.2f}x nnx.jit) |"
        )
    print("\n| model | FlaxLayer | eager constructor | jitted constructor |")
    print("| --- | --- | --- | --- |")
    for name in MODELS:
        t = measure_build(name)
        print(f"| build of {name} | " + " | ".join(f"{t[way]:.2f} s" for way in WAYS) + " |")
    t = {key: seconds * 1e3 for key, seconds in measure_training().items()}
    print("\n| step | nnx.jit and nnx.Optimizer | fit with FlaxLayer |\n| --- | --- | --- |")
    ratio = t["ours"] / t["raw"]
    print(f"| CNN, batch {BATCH} | {t['raw']:.2f} ms | {t['ours']:.2f} ms ({ratio:.2f}x) |")


if __name__ == "__main__":
    main()
