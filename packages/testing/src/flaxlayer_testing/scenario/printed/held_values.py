"""What programs compare: values, what a layer holds, what a call adds; they hold this source."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer_testing.backends.printed_pieces import shares_programs
from flaxlayer_testing.render.raw_trees import is_array

__all__ = [
    "Coarsest",
    "adds",
    "agree",
    "arrays_of",
    "bits",
    "bounds",
    "close",
    "copied",
    "doubling",
    "each_once",
    "holds",
    "keys",
    "masks_are",
    "only",
    "same",
    "sown_in",
    "summed",
    "symbolic",
    "tensors",
]


class Coarsest:
    """The dtype of fewest digits among those that a module computes in.

    On other backends than JAX another compiler makes what is compared, so that it bounds all.
    """

    dtype: Any = None


def keys(seed: list[int], *streams: str, prefix: Any = ()) -> dict[str, Any]:
    """Returns the keys of a call that draws a seed: `[seed, number of draws before]` (R2)."""
    base = jax.random.fold_in(jax.random.key(np.uint32(seed[0])), np.uint32(seed[1]))
    found = {}
    for stream in streams:
        key = base
        for name in (*prefix, stream):
            number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
            key = jax.random.fold_in(key, np.uint32(number))
        found[stream] = key
    return found


def tensors(tree: Any) -> Any:
    """Returns a tree with its arrays as users of the backend hold them; typed keys stay."""

    def one(leaf: Any) -> Any:
        if not is_array(leaf) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        return keras.ops.convert_to_tensor(leaf)

    return jax.tree.map(one, tree)


def arrays_of(tree: Any) -> list[Any]:
    """Returns the arrays of a tree, its tensors, and its Keras tensors."""
    found = []
    for leaf in jax.tree.leaves(tree):
        ours = is_array(leaf) or isinstance(leaf, keras.KerasTensor)
        found += [leaf] if ours or keras.ops.is_tensor(leaf) else []
    return found


def bits(leaf: Any) -> Any:
    """Returns a leaf as an array of NumPy, of a typed key its data."""
    if is_array(leaf) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if keras.ops.is_tensor(leaf):
        return keras.ops.convert_to_numpy(leaf)
    numbers = isinstance(leaf, bool | int | float | complex)
    return np.asarray(leaf, jax.dtypes.result_type(leaf)) if numbers else np.asarray(leaf)


def copied(tree: Any) -> Any:
    """Returns a copy of a tree of variables, which no training step donates."""

    def one(leaf: Any) -> Any:
        key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.clone(leaf) if key else np.array(leaf)

    return jax.tree.map(one, tree)


def same(expected: Any, found: Any, exact: bool = True) -> None:
    """Compares two trees: their structure, then each leaf, to the bit if `exact` and on JAX."""
    exact = exact and shares_programs()
    forms: list[Any] = [jax.tree.structure(expected), jax.tree.structure(found)]
    assert forms[0] == forms[1], f"{forms[0]} != {forms[1]}"
    pairs = jax.tree_util.tree_leaves_with_path(expected)
    for (path, left), right in zip(pairs, jax.tree.leaves(found), strict=True):
        a, b, where = bits(left), bits(right), jax.tree_util.keystr(path)
        forms = [(a.dtype, a.shape), (b.dtype, b.shape)]
        assert forms[0] == forms[1], f"{where}: {forms[0]} != {forms[1]}"
        equal = (a == b).all() if a.dtype.kind in "OU" else a.tobytes() == b.tobytes()
        assert equal or (not exact and close(a, b)), f"{where}: {a} != {b}"


def each_once(wanted: list[Any], found: list[Any]) -> None:
    """Compares what calls gave in any order with what they have to give."""
    left = list(wanted)
    for one in found:
        place = next((at for at, other in enumerate(left) if agree(other, one)), 0)
        same(left.pop(place), one)


def agree(expected: Any, found: Any) -> bool:
    """Tells whether two trees are the same."""
    try:
        same(expected, found)
    except AssertionError:
        return False
    return True


def close(a: Any, b: Any) -> bool:
    """Tells whether two arrays differ by rounding alone."""
    if not jnp.issubdtype(a.dtype, jnp.inexact):
        return bool((a == b).all())
    rtol, atol = max(map(bounds, [a.dtype, Coarsest.dtype or a.dtype]))
    wide = complex if a.dtype.kind == "c" else float
    return np.allclose(b.astype(wide), a.astype(wide), rtol, atol, equal_nan=True)


def bounds(dtype: Any) -> tuple[float, float]:
    """Returns how far two values may differ: relative to the expected one, and absolute."""
    eps = float(jnp.finfo(dtype).eps)
    return (4 * eps, 4 * eps) if jnp.finfo(dtype).bits == 16 else (16 * eps, 64 * eps)


def holds(
    layer: Any, variables: Any, seed: list[int], trained: list[str], exact: bool = True
) -> Any:
    """Compares what a layer holds with raw Flax: values, state of its seed, what is trained."""
    found = copied(layer.flax_variables())
    same(variables, found, exact)
    state = keras.ops.convert_to_numpy(layer.seed_generator.state.value).tolist()
    assert state == seed, f"the seed generator: {seed} != {state}"
    paths = sorted(v.path.partition(f"{layer.name}/")[2] for v in layer.trainable_variables)
    assert paths == trained, f"trainable: {trained} != {paths}"
    return found


def doubling(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """Intercepts the calls of modules, and doubles what they give."""
    outputs = call(*args, **kwargs)
    if context.method_name != "__call__":
        return outputs

    def one(leaf: Any) -> Any:
        floats = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf + leaf if floats else leaf

    return jax.tree.map(one, outputs)


def sown_in(updates: Any, stored: list[str]) -> dict[str, Any]:
    """Returns what a call sowed: the collections that no layer stores."""
    return {name: tree for name, tree in updates.items() if name not in stored and tree}


def summed(sown: Any, losses: Any) -> Any:
    """Returns the sum of all leaves of the collections of losses."""
    terms = jax.tree.leaves([sown.get(name, ()) for name in losses])
    return sum((jnp.sum(leaf) for leaf in terms), jnp.zeros((), jnp.float32))


def adds(layer: Any, loss: Any) -> None:
    """Compares the sum of the losses of a layer, or of a model."""
    total = sum(map(bits, layer.losses), np.zeros((), np.float32))
    same(np.asarray(loss, np.float32), np.asarray(total, np.float32), exact=False)


def masks_are(masks: Any, mask: Any, kept: list[bool]) -> None:
    """Compares the masks of outputs: that of the input on those that keep its dimensions."""
    expected = [np.asarray(mask).tolist() if keeps else None for keeps in kept]
    found = [None if one is None else bits(one).tolist() for one in masks]
    assert found[: len(kept)] == expected, f"masks: {expected} != {found}"


def only(tree: Any, paths: Any, at: str = "") -> dict[str, Any]:
    """Returns the part of a tree of variables that stands at some paths."""
    found = {}
    for name, value in tree.items():
        path = f"{at}{str(name).replace('%', '%25').replace('/', '%2F')}"
        if any(one == path or one.startswith(f"{path}/") for one in paths):
            inner = isinstance(value, dict)
            found[name] = only(value, paths, f"{path}/") if inner else value
    return found


def symbolic(tree: Any) -> Any:
    """Returns a tree with Keras tensors for its arrays; typed keys stay."""

    def one(leaf: Any) -> Any:
        if not is_array(leaf) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        return keras.KerasTensor(leaf.shape, str(leaf.dtype))

    return jax.tree.map(one, tree)
