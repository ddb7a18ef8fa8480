"""Building and first calling transformers of many blocks, beside raw Flax, in fresh processes (B6).

Run: `python -m benchmarks.depth`, with the numbers of blocks if others are wanted. Compiled code is
not cached between the processes.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.backend import print_backend
from benchmarks.timing import run_processes

__all__ = ["BLOCKS", "WAYS", "measure"]

WAYS = ("ours", "eager", "jitted")
BLOCKS = (4, 16, 64, 256)

_SHAPE = (1, 8, 128)

Made = tuple[Any, Callable[[], Any]]


def _layer(framework: str, blocks: int, x: Any) -> Made:
    from benchmarks import models, nnx_models
    from flaxlayer import FlaxLayer

    if framework == "linen":
        layer = FlaxLayer(models.Transformer(blocks))
    else:
        layer = FlaxLayer(functools.partial(nnx_models.Transformer, blocks))
    layer.build(_SHAPE)
    return [variable.value for variable in layer.weights], lambda: layer(x)


def _linen(way: str, blocks: int, x: Any) -> Made:
    import jax

    from benchmarks.models import Transformer

    module = Transformer(blocks)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    init = functools.partial(module.init, training=True)
    variables = (jax.jit(init) if way == "jitted" else init)(keys, x)
    return variables, lambda: jax.jit(module.apply)(variables, x)


def _nnx(way: str, blocks: int, x: Any) -> Made:
    import jax
    from flax import nnx

    from benchmarks.nnx_models import Transformer

    def make(rngs: nnx.Rngs) -> Transformer:
        return Transformer(blocks, rngs=rngs)

    keys = nnx.Rngs(params=0, dropout=1)
    module = (nnx.jit(make) if way == "jitted" else make)(keys)

    def call() -> Any:
        module.eval()
        graphdef, state = nnx.split(module)
        return jax.jit(lambda state, x: nnx.merge(graphdef, state)(x))(state, x)

    return jax.tree.leaves(nnx.state(module)), call


def _time(way: str, framework: str, blocks: int) -> None:
    """Prints the seconds of a build, and of a build and the first call, and the processor's."""
    import jax
    import jax.numpy as jnp
    import keras  # noqa: F401  nobody waits for imports here

    import benchmarks.nnx_models  # noqa: F401
    import flaxlayer  # noqa: F401

    x = jnp.ones(_SHAPE)
    make = (
        _layer
        if way == "ours"
        else functools.partial(_linen if framework == "linen" else _nnx, way)
    )
    start, cpu = time.perf_counter(), time.process_time()
    made, call = make(*((framework,) if way == "ours" else ()), blocks, x)
    jax.block_until_ready(made)
    built, built_cpu = time.perf_counter() - start, time.process_time() - cpu
    jax.block_until_ready(call())
    print(built, time.perf_counter() - start, built_cpu, time.process_time() - cpu)


def measure(framework: str, blocks: int, rounds: int = 3) -> dict[str, tuple[float, ...]]:
    """Returns by each way the median seconds of a build, and of a build with the first call.

    Twice: those of the clock, and those of the processor, which other work of the machine does not
    lengthen.
    """
    return run_processes("benchmarks.depth", WAYS, f"{framework}-{blocks}", rounds)


def main() -> None:
    """Prints a table in Markdown; with a way and a model, the figures of one process."""
    if len(sys.argv) == 3 and sys.argv[1] in WAYS:
        framework, _, blocks = sys.argv[2].partition("-")
        _time(sys.argv[1], framework, int(blocks))
        return
    print_backend()
    print("Seconds of the processor; in brackets beside the faster of eager and jitted.\n")
    print("| blocks | build | eager init | jitted init | build and call | init and apply |")
    print("| --- | --- | --- | --- | --- | --- |")
    for framework in ("linen", "nnx"):
        for blocks in map(int, sys.argv[1:] or BLOCKS):
            found = measure(framework, blocks)
            (_, _, ours, called), *others = (found[way] for way in WAYS)
            init, apply = (min(other[place] for other in others) for place in (2, 3))
            print(
                f"| {framework} {blocks} | {ours:.2f} ({ours / init:.2f}x) "
                f"| {others[0][2]:.2f} | {others[1][2]:.2f} "
                f"| {called:.2f} ({called / apply:.2f}x) | {apply:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
