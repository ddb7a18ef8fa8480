"""The text of a layer in a program: how it is made, built and called."""

from __future__ import annotations

from flaxlayer_testing.render.program_inputs import layer_settings
from flaxlayer_testing.spec.spec import Case

__all__ = ["layer_fields"]

_SYMBOLIC = """\
def symbolic(leaf):
    key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    array = isinstance(leaf, jax.Array) and not key
    return keras.KerasTensor(leaf.shape, str(leaf.dtype)) if array else leaf


layer = Layer(module, seed={seed}{settings})
args, kwargs = jax.tree.map(symbolic, (inputs, arguments))
layer(*args, **kwargs)"""

_PLAIN = """\
layer = Layer(module, seed={seed}{settings})
layer(*jax.tree.map(lambda x: keras.KerasTensor(x.shape, str(x.dtype)), inputs))"""

# What is no array is no argument of a compiled function.
_ARRAYS = """\
leaves, tree = jax.tree.flatten((inputs, arguments))
arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]"""

_MERGED = """\
following = iter(arrays)
    filled = [next(following) if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
    inputs, arguments = jax.tree.unflatten(tree, filled)"""


def layer_fields(case: Case) -> dict[str, str]:
    """Returns the texts about a layer under test, and of the arguments of its calls.

    Args:
        case: The case that it runs.

    Returns:
        How it is made and built, `built`; the arguments of a call, `given`; the arrays of them,
        `arrays`, and how a compiled function puts them in their places, `merged`.
    """
    extras = bool(case.spec.extras)
    settings = "".join(f", {name}={value!r}" for name, value in layer_settings(case.spec).items())
    text = _SYMBOLIC if extras else _PLAIN
    built = text.format(seed=case.seed, settings=settings)
    return {
        "built": built,
        "given": "*tensors(inputs), **tensors(arguments)" if extras else "*tensors(inputs)",
        "arrays": _ARRAYS if extras else "arrays = inputs",
        "merged": _MERGED if extras else "inputs = arrays",
    }
