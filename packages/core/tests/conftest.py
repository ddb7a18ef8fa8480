"""What the tests of core share: a module examined for inputs, as a layer would."""

import jax
import jax.experimental
import numpy as np
import pytest

from flaxlayer_core import (
    ArraySpec,
    CollectionPolicy,
    LinenModule,
    MethodSignature,
    ModuleCall,
    infer_build_spec,
    partition,
)


def spec(*shape, dtype="float32"):
    return ArraySpec(shape, np.dtype(dtype))


def module_call(
    module,
    *args,
    method=None,
    init_method=None,
    training_arg=None,
    policy=None,
    rngs=None,
    given=None,
    kwargs=None,
):
    """The question about a module, and the specs of the arrays among its arguments."""
    flax_module = LinenModule(module)
    call = MethodSignature.from_method(flax_module, method, training_arg=training_arg)
    init_call = call
    if init_method is not None:
        init_call = MethodSignature.from_method(flax_module, init_method)
    arrays, structure = partition(args, kwargs or {})
    asked = ModuleCall(
        flax_module,
        call,
        init_call,
        structure,
        policy=policy or CollectionPolicy(),
        rngs=rngs,
        given=given,
        layer="Layer 'it'",
    )
    specs = [a if isinstance(a, ArraySpec) else spec(*a.shape, dtype=a.dtype) for a in arrays]
    return asked, specs


def examined(module, *args, values=None, **settings):
    """What a layer knows of a module for these arguments."""
    asked, specs = module_call(module, *args, **settings)
    return infer_build_spec(asked, specs, values=values)[0].spec


@pytest.fixture(name="spec", scope="session")
def _spec():
    return spec


@pytest.fixture(name="module_call", scope="session")
def _probe():
    return module_call


@pytest.fixture(name="examined", scope="session")
def _examined():
    return examined


@pytest.fixture
def enable_x64():
    """Makes a context of 64-bit types: `with enable_x64(True):`."""
    # JAX 0.8 made it public.
    return jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
