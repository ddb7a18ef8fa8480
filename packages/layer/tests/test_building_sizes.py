"""What a file asks for is counted before anything of it is made, compiled or begun (S3)."""

import contextlib
import copy
import functools
import json
import os
import subprocess
import sys
import textwrap

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer, FlaxMethod
from flaxlayer_core import BuildModuleError, FlaxLayerError
from flaxlayer_core.jaxprs import op_by_op as evaluating


class Drawn(nn.Module):
    """Draws far more at init than it keeps, or makes far more in a call than it returns."""

    drawn: int = 2
    made: int = 2
    again: int = 2

    @nn.compact
    def __call__(self, x):
        start = self.param("w", lambda key: jax.random.normal(key, (self.drawn,))[:2].sum())
        return x + start + jnp.sum(jnp.ones((self.made,)) * x[:1, :1])

    def other(self, x):
        return x + jnp.sum(jnp.ones((self.again,)) * x[:1, :1])


class Wide(nn.Module):
    """A module of the user's: what its field means is known to it alone."""

    kind: str
    size: int

    @nn.compact
    def __call__(self, x):
        if self.kind == "conv":
            return nn.Conv(self.size, (2,))(x)
        if self.kind == "kernel":
            return nn.Conv(3, (self.size,))(x)
        return nn.Dense(self.size)(x) if self.kind == "dense" else nn.Embed(3, self.size)(x)


class WideOfNnx(nnx.Module):
    def __init__(self, size, *, rngs):
        self.inner = nnx.Linear(4, size, rngs=rngs)

    def __call__(self, x):
        return self.inner(x)


@contextlib.contextmanager
def nothing_begun():
    """Records what is compiled, and compiles nothing: it could end the process of the tests."""
    begun = []

    def compile(self, lowered, pool):
        begun.append(lowered.as_text()[:200])
        raise FlaxLayerError("something is compiled")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluating._CompiledFunctions, "compile", compile)
        yield
    assert begun == []


@functools.cache
def stored_text(make, shape):
    layer = FlaxLayer(make(), name="net", seed=1)
    layer.build(shape)
    return json.dumps(keras.saving.serialize_keras_object(layer))


def stored(make, shape, size):
    """A layer's configuration with a size, which is 7 where it was made, replaced."""
    text = stored_text(make, shape)
    assert text.count("7") == 1
    return json.loads(text.replace("7", str(size)))


MAKERS = {
    "Dense": (lambda: nn.Dense(7), (None, 4)),
    "Dense of the user": (lambda: Wide("dense", 7), (None, 4)),
    "Embed of the user": (lambda: Wide("embed", 7), (None, 4)),
    "Conv of the user": (lambda: Wide("conv", 7), (None, 8, 4)),
    "kernel of the user": (lambda: Wide("kernel", 7), (None, 8, 4)),
    "Linear of nnx": (lambda: functools.partial(nnx.Linear, 4, 7), (None, 4)),
    "nnx of the user": (lambda: functools.partial(WideOfNnx, 7), (None, 4)),
    "drawn at init": (lambda: Drawn(drawn=7), (None, 4)),
}
SIZES = [10**12, 2**61, 10**18, 2**62, 2**63, 10**30]


def routes(config):
    """Brings a layer to its weights by each way there is."""
    layer, inputs = config["config"], np.ones((2, 4), "float32")
    text = json.dumps(
        {
            "module": "keras",
            "class_name": "Sequential",
            "config": {"name": "m", "trainable": True, "layers": [config]},
            "registered_name": None,
        }
    )

    def revived():
        return FlaxLayer.from_config(copy.deepcopy(layer))

    def initialising():
        return FlaxLayer.from_config({**copy.deepcopy(layer), "init_method": "__call__"})

    method = {"name": "m", "method": "__call__", "layer": config}
    shape = {"input_shape": [None, 4]}
    return {
        "object": lambda: keras.saving.deserialize_keras_object(copy.deepcopy(config)),
        "JSON": lambda: keras.models.model_from_json(text),
        "method": lambda: FlaxMethod.from_config(copy.deepcopy(method)),
        "shapes of Keras": lambda: revived().build_from_config(shape),
        "first call": lambda: revived()(inputs),
        "symbolic call": lambda: revived()(keras.Input((4,))),
        "first call of a method": lambda: initialising().method("__call__")(inputs),
        "build_on": lambda: revived().build_on(inputs),
        "output shape": lambda: revived().compute_output_shape((None, 4)),
        "clone": lambda: keras.models.clone_model(keras.Sequential([keras.Input((4,)), revived()])),
    }


@pytest.mark.law("S3")
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", MAKERS)
def test_variables_that_no_machine_holds_are_refused_before_anything_is_begun(name, size):
    config = stored(*MAKERS[name], size)
    with nothing_begun(), pytest.raises(FlaxLayerError) as caught:
        keras.saving.deserialize_keras_object(config)
    assert len(str(caught.value)) < 3000


@pytest.mark.law("S3")
@pytest.mark.parametrize("size", [10**12, 10**18], ids=str)
@pytest.mark.parametrize("route", routes({"config": {}}))
def test_every_way_to_weights_counts_them_first(route, size):
    config = stored(*MAKERS["Dense of the user"], size)
    with nothing_begun(), pytest.raises(FlaxLayerError, match="S3"):
        routes({"registered_name": "flaxlayer>FlaxLayer", **config})[route]()


@pytest.mark.law("S3")
def test_given_variables_of_a_file_are_counted_first():
    variables = nn.Dense(2).init(jax.random.key(0), np.ones((1, 4), "float32"))
    layer = FlaxLayer(nn.Dense(2), name="net", variables=variables)
    layer.build((None, 4))
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    for old, new in (("[[4, 2]", f"[[4, {2**31 - 1}]"), ("[[2]", f"[[{2**31 - 1}]")):
        assert old in text
        text = text.replace(old, new)
    with nothing_begun(), pytest.raises(BuildModuleError, match="S3"):
        keras.saving.deserialize_keras_object(json.loads(text))


@pytest.mark.law("S3")
@pytest.mark.parametrize("size", [10**14, 10**18, 2**62], ids=str)
def test_what_a_call_makes_on_its_way_is_counted_at_build(size):
    config = stored(lambda: Drawn(made=7), (None, 4), 2)
    config = json.loads(json.dumps(config).replace('["made", 2]', json.dumps(["made", size])))
    layer = FlaxLayer.from_config(config["config"])
    with nothing_begun(), pytest.raises(BuildModuleError, match="S3"):
        layer(np.ones((2, 4), "float32"))
    assert layer.weights == []


@pytest.mark.law("S3")
def test_what_another_method_makes_on_its_way_is_counted_too():
    layer = FlaxLayer(Drawn(again=7), name="net")
    layer.build((None, 4))
    config = json.dumps(layer.method("other", name="other").get_config())
    assert config.count('["again", 7]') == 1
    changed = config.replace('["again", 7]', f'["again", {10**18}]')
    method = FlaxMethod.from_config(json.loads(changed))
    with nothing_begun(), pytest.raises(FlaxLayerError, match="S3"):
        method(np.ones((2, 4), "float32"))


@pytest.mark.law("S3")
def test_a_module_of_the_user_s_own_that_cannot_be_addressed_ends_no_process():
    with nothing_begun(), pytest.raises(BuildModuleError, match="no machine can address"):
        FlaxLayer(nn.Dense(10**18)).build((None, 4))


SCRIPT = """
    import json, resource, sys
    for kind, limit in ((resource.RLIMIT_AS, 12 << 30), (resource.RLIMIT_CPU, 200)):
        resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))
    from functools import partial
    import flax.linen as nn, jax, jax.numpy as jnp, keras
    from flax import nnx
    from flaxlayer import FlaxLayer

    class Wide(nn.Module):
        size: int

        @nn.compact
        def __call__(self, x):
            return nn.Dense(self.size)(x)

    class Branches(nn.Module):
        size: int

        @nn.compact
        def __call__(self, x):
            return nn.Dense(self.size)(x if x.sum() > 0 else -x)

    class Makes(nn.Module):
        size: int

        @nn.compact
        def __call__(self, x):
            return x * jnp.ones((self.size, self.size)).sum() if x.sum() > 0 else x

    class Hides(nnx.Module):
        def __init__(self, size, *, rngs):
            table = jax.random.normal(rngs.params(), (size,))
            self.factor = float(table[0])
            self.inner = nnx.Linear(4, 3, rngs=rngs)

        def __call__(self, x):
            return self.inner(x) * self.factor

    made = partial(Hides, 7) if sys.argv[1] == "Hides" else vars()[sys.argv[1]](7)
    layer = FlaxLayer(made, name="net", seed=1)
    layer(jnp.ones((2, 4)))
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    assert text.count("7") == 1
    for size in (10**12, 10**18, 2**62):
        try:
            keras.saving.deserialize_keras_object(json.loads(text.replace("7", str(size))))
        except Exception as error:
            print(type(error).__name__)
"""


@pytest.mark.slow
@pytest.mark.law("S3")
@pytest.mark.parametrize("kind", ["Branches", "Hides", "Makes", "Wide"])
def test_a_process_outlives_files_of_any_size(kind):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), kind]
    done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["BuildModuleError"] * 3
