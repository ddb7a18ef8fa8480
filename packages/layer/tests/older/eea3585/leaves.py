"""The leaves of trees by path, as NumPy arrays that a file can hold, each with its dtype."""

import jax
import keras
import numpy as np

from flaxlayer import FlaxLayer


def leaves(tree, prefix=""):
    """Returns arrays by path and dtype; a key as its data, half and bfloat16 as float32."""
    found = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        parts = [getattr(key, "key", getattr(key, "idx", None)) for key in path]
        name = "/".join(str(part) for part in parts if part is not None)
        found[f"{prefix}{name}:{leaf.dtype}"] = plain(leaf)
    return found


def plain(leaf):
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf))
    array = np.asarray(leaf)
    return array.astype(np.float32) if array.dtype.itemsize == 2 else array


def variables_of(model):
    """Returns the variables of each Flax layer of a model by name; a subclass's own under `own`."""
    found = {}
    for layer in flax_layers(model):
        found[layer.name] = layer.flax_variables()
        if hasattr(layer, "before"):
            own = {"before": layer.before, "after": layer.after}
            found["own"] = {name: keras.ops.convert_to_numpy(own[name]) for name in own}
    return found


def flax_layers(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, FlaxLayer)]
