"""What the layer's tests share: raw Flax beside the layer, compared to the bit."""

import functools

import flax.linen as nn
import jax
import jax.experimental
import keras
import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("flaxlayer", deadline=None)
settings.load_profile("flaxlayer")


@functools.cache
def _compiled(module, method, training_kwargs, mutable):
    def apply(variables, rngs, args, kwargs):
        return module.apply(
            variables,
            *args,
            rngs=rngs,
            method=method,
            mutable=nn.DenyList(mutable),
            **kwargs,
            **dict(training_kwargs),
        )

    return jax.jit(apply)


@pytest.fixture
def raw_apply():
    """Runs `module.apply` compiled, as the layer's next call would: `(outputs, updates)`."""

    def run(layer, *args, training=False, flags=(), method=None, mutable=("params",), **kwargs):
        function = _compiled(layer.module, method, tuple(flags), tuple(mutable))
        rngs = layer.peek_rngs(training=training)
        return function(layer.flax_variables(), rngs, args, kwargs)

    return run


@pytest.fixture
def same_bits():
    """Asserts that two trees agree in structure, shape, dtype and every bit."""

    def check(actual, expected):
        assert jax.tree.structure(actual) == jax.tree.structure(expected)
        for left, right in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            left, right = np.asarray(left), np.asarray(right)
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            assert left.tobytes() == right.tobytes()

    return check


@pytest.fixture
def enable_x64():
    """Makes a context of 64-bit types: `with enable_x64(True):`."""
    # JAX 0.8 made it public.
    return jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64


@pytest.fixture
def reference():
    """`keras.layers.FlaxLayer`, where its weights can be made."""
    if tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 14):
        pytest.importorskip("tensorflow", reason="since Keras 3.14 the reference needs TensorFlow")
    return keras.layers.FlaxLayer
