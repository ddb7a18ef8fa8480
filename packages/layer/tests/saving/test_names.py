"""What is known to a process that loads: saved by one process, loaded by another (S1, S2)."""

import importlib
import json
import os
import subprocess
import sys
import textwrap

import flax.linen as nn
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import flaxlayer
from flaxlayer import FlaxLayer
from flaxlayer_core import DecodeModuleError
from packages.layer.tests.needs import needs_nnx

pytestmark = pytest.mark.slow

NET = """
    import dataclasses, enum, typing
    import flax.linen as nn, jax.numpy as jnp, keras
    from flax import nnx
    from ml_collections import ConfigDict

    class Mode(enum.Enum):
        FAST = 1
        SLOW = 2

    @dataclasses.dataclass(frozen=True)
    class Options:
        mode: object = Mode.SLOW

    class Point(typing.NamedTuple):
        x: object

    def act(x):
        return 2 * x

    class Net(nn.Module):
        act: object = lambda x: x
        held: object = None

        @nn.compact
        def __call__(self, x):
            return self.act(nn.Dense(2, kernel_init=nn.initializers.ones)(x))

        def halved(self, x):
            return self(x) / 2

        class Inner(nn.Module):
            @nn.compact
            def __call__(self, x):
                return nn.Dense(2)(x)

    def thrice(module, x):
        return 3 * module(x)

    def make():
        class AClassWithALongNameThatNoErrorMayCutShortSinceItIsPastedIntoCustomObjects(nn.Module):
            @nn.compact
            def __call__(self, x):
                return nn.Dense(2)(x)

        return AClassWithALongNameThatNoErrorMayCutShortSinceItIsPastedIntoCustomObjects

    class OfNnx(nnx.Module):
        def __init__(self, size, *, mode=None, rngs):
            self.linear = nnx.Linear(4, size, rngs=rngs)

        def __call__(self, x):
            return self.linear(x)

    class Custom(Net.Inner):
        pass

    class AtKeras(Net.Inner):
        def get_config(self):
            return {}

    class KerasConfig:
        def __init__(self, init):
            self.init = keras.initializers.get(init)

        def get_config(self):
            return {"init": keras.initializers.serialize(self.init)}

        @classmethod
        def from_config(cls, config):
            return cls(keras.initializers.deserialize(config["init"]))

    class Plain:
        def __init__(self, text):
            self.rows = text.split()
"""
CASES = """
    import functools, sys
    import flax.linen as nn, keras, numpy as np
    import flaxlayer, net
    from flax import nnx
    from flaxlayer import FlaxLayer
    from ml_collections import ConfigDict

    X = np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4)
    keras_own = {
        "init": keras.initializers.GlorotUniform(seed=3),
        "policy": keras.DTypePolicy("mixed_bfloat16"),
        "regularizer": keras.regularizers.L2(0.1),
    }
    CASES = {
        "linen": lambda: FlaxLayer(net.Net()),
        "fields": lambda: FlaxLayer(net.Net(net.act, (net.Options(net.Mode.FAST), net.Point(1)))),
        "method": lambda: FlaxLayer(net.Net(), method=net.Net.halved),
        "function": lambda: FlaxLayer(net.Net(), method=net.thrice),
        "nested": lambda: FlaxLayer(net.Net.Inner()),
        "local": lambda: FlaxLayer(net.make()()),
        "nnx": lambda: FlaxLayer(functools.partial(net.OfNnx, 2, mode=net.Mode.FAST)),
        "custom": lambda: FlaxLayer(net.Custom()),
        "keras": lambda: FlaxLayer(net.AtKeras()),
        "keras config": lambda: FlaxLayer(net.Net(held=net.KerasConfig("he_normal"))),
        "keras own": lambda: FlaxLayer(net.Net(held=[keras.activations.gelu, keras_own])),
        "config dict": lambda: FlaxLayer(net.Net(held=ConfigDict({"m": net.Mode.FAST}).lock())),
        "plain": lambda: FlaxLayer(net.Net(held=net.Plain("a b"))),
    }
    if not hasattr(nnx, "data"):
        del CASES["nnx"]
    pair = {"encode": lambda plain: " ".join(plain.rows), "decode": net.Plain}
"""
SAVE = """
    class InMain(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x)

    flaxlayer.register(net.Custom, package="mine", name="Own")
    flaxlayer.register(net.Plain, **pair)
    keras.saving.register_keras_serializable("mine")(net.KerasConfig)
    for name, make in {**CASES, "main": lambda: FlaxLayer(InMain())}.items():
        model = keras.Sequential([keras.Input((4,)), make()])
        model.set_weights([w + 0.5 for w in model.get_weights()])
        model.save(f"{name}.keras")
        np.save(f"{name}.npy", model.predict(X, verbose=0))
"""
LOAD = """
    import json
    outcomes = {}

    def attempt(label, name, **arguments):
        try:
            model = keras.models.load_model(f"{name}.keras", **arguments)
            same = (model.predict(X, verbose=0) == np.load(f"{name}.npy")).all()
            outcomes[label] = "same" if same else "different"
            return model
        except flaxlayer.FlaxLayerError as error:
            outcomes[label] = {"found": error.found, "fix": error.fix}

    attempt("unknown", "fields")
    attempt("unknown long", "local")
    known = [net.Net, net.Options, net.Mode, net.Point, net.act]
    attempt("by objects", "fields", custom_objects={each.__name__: each for each in known})
    for each in (net.Net, net.Options, net.Mode, net.Point, net.act, net.thrice, net.Net.Inner):
        flaxlayer.register(each)
    flaxlayer.register(net.make())
    flaxlayer.register(net.OfNnx)
    flaxlayer.register(net.Custom, package="mine", name="Own")
    flaxlayer.register(net.Plain, **pair)
    keras.saving.register_keras_serializable("other")(net.AtKeras)
    keras.saving.register_keras_serializable("mine")(net.KerasConfig)
    for name in CASES:
        model = attempt(name, name)
        if name == "plain":
            assert model.layers[0].module.held.rows == ["a", "b"]
        if name == "keras own":
            activation, held = model.layers[0].module.held
            assert activation is keras.activations.gelu
            assert held["policy"] == keras.DTypePolicy("mixed_bfloat16")
            assert held["init"].get_config() == keras_own["init"].get_config()

    class InMain(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x)

    InMain.__module__ = "net"
    flaxlayer.register(InMain)
    attempt("main", "main")
    print(json.dumps(outcomes))
"""
KINDS = [
    *("linen", "fields", "method", "function", "nested", "local", "custom", "keras"),
    pytest.param("nnx", marks=needs_nnx),
    *("keras config", "keras own", "config dict", "plain", "main", "by objects"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What a process found that loads what another process saved."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "net.py").write_text(textwrap.dedent(NET))
    results = []
    for name, script in (("save.py", SAVE), ("load.py", LOAD)):
        (folder / name).write_text(textwrap.dedent(CASES) + textwrap.dedent(script))
        done = subprocess.run(
            [sys.executable, name], cwd=folder, env={**os.environ}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        results.append(done.stdout)
    return json.loads(results[-1].splitlines()[-1])


@pytest.mark.law("S2")
@pytest.mark.parametrize("kind", KINDS)
def test_to_register_in_the_process_that_loads_is_enough(kind, outcomes):
    assert outcomes[kind] == "same"


@pytest.mark.law("S2")
def test_all_names_that_are_missing_are_listed_at_once_and_can_be_pasted(outcomes):
    assert outcomes["unknown"] == {
        "found": "'net:Net', 'net:act', 'net:Options', 'net:Mode', 'net:Point'",
        "fix": "Before loading, import what you trust of these and run: "
        "flaxlayer.register(net.Net); flaxlayer.register(net.act); "
        "flaxlayer.register(net.Options); flaxlayer.register(net.Mode); "
        "flaxlayer.register(net.Point). Or load with custom_objects={'Net': net.Net, "
        "'act': net.act, 'Options': net.Options, 'Mode': net.Mode, 'Point': net.Point}.",
    }


@pytest.mark.law("S2")
def test_a_long_name_is_not_cut_short(outcomes):
    name = "AClassWithALongNameThatNoErrorMayCutShortSinceItIsPastedIntoCustomObjects"
    assert outcomes["unknown long"] == {
        "found": f"'net:make.<locals>.{name}'",
        "fix": "Before loading, import what you trust of these and run: "
        f"flaxlayer.register({name}). Or load with custom_objects={{'{name}': {name}}}.",
    }


RELOADED = """
    import dataclasses, enum
    import flax.linen as nn

    def act(x):
        return {factor} * x

    class Mode(enum.Enum):
        ONE = {factor}

    @dataclasses.dataclass
    class Options:
        mode: object
        act: object

    class Config:
        def __init__(self, width):
            self.width = width

        def get_config(self):
            return dict(width=self.width)

    class Net(nn.Module):
        options: object
        config: object

        @nn.compact
        def __call__(self, x):
            return {factor} * self.options.act(nn.Dense(2)(x))

    def build():
        return Net(Options(Mode.ONE, act), Config(3))
"""
X = np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4)


@pytest.fixture(params=["a module that is reloaded", "the cell of a notebook"])
def source(request, tmp_path, monkeypatch):
    """Defines the classes anew each time that it is called, and gives what holds them."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"reloaded_{request.param_index}"
    path = tmp_path / f"{name}.py"

    def define(factor):
        text = textwrap.dedent(RELOADED.replace("{factor}", str(factor)))
        if request.param_index == 1:
            notebook = sys.modules["__main__"]
            exec(compile(text, f"<cell {factor}>", "exec"), vars(notebook))
            return notebook
        path.write_text(text)
        importlib.invalidate_caches()
        return importlib.reload(sys.modules[name]) if name in sys.modules else _import(name)

    before = dict(vars(sys.modules["__main__"]))
    yield define
    sys.modules.pop(name, None)
    vars(sys.modules["__main__"]).clear()
    vars(sys.modules["__main__"]).update(before)


def _import(name):
    return importlib.import_module(name)


def _parts(module):
    held = (module.options.mode, module.options.act)
    return (type(module), type(module.options), type(module.config), *held)


@pytest.mark.law("S2")
@pytest.mark.parametrize("handed", [False, True], ids=["not used again", "used again"])
def test_after_a_class_was_defined_anew_the_newer_one_is_used(source, handed, tmp_path):
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(source(2).build())])
    model.save(tmp_path / "old.keras")
    newer = source(10)
    if handed:
        FlaxLayer(newer.build())
    loaded = keras.models.load_model(tmp_path / "old.keras")
    assert _parts(loaded.layers[0].module) == _parts(newer.build())
    expected = 25 * model.predict(X, verbose=0)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, rtol=1e-6)
    model.save(tmp_path / "again.keras")  # the layer still has the older class
    loaded = keras.models.load_model(tmp_path / "again.keras")
    assert _parts(loaded.layers[0].module) == _parts(newer.build())


@pytest.mark.law("S2")
def test_after_a_registered_class_was_defined_anew_the_newer_one_is_used(source, tmp_path):
    package = tmp_path.name  # of this test alone
    flaxlayer.register(source(2).Net, package=package)
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(source(2).build())])
    model.save(tmp_path / "model.keras")
    newer = source(10)
    flaxlayer.register(newer.Net, package=package)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0].module) is newer.Net


@keras.saving.register_keras_serializable("flaxlayer_tests")
class Seeded:
    def __init__(self, init):
        self.init = keras.initializers.get(init)

    def get_config(self):
        return {"init": keras.saving.serialize_keras_object(self.init)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["init"]))


class Holder(nn.Module):
    held: object = None
    filled: object = jnp.ones

    @nn.compact
    def __call__(self, x):
        return x * self.param("scale", lambda key: jnp.asarray(self.filled((4,), "float32")))


@pytest.mark.law("S1")
def test_objects_of_keras_stand_in_fields(tmp_path):
    held = [Seeded("he_normal"), keras.constraints.MaxNorm(2), keras.activations.silu]
    layer = FlaxLayer(Holder(held, keras.initializers.Constant(2.0)))
    model = keras.Sequential([keras.Input((4,)), layer])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").layers[0].module
    assert isinstance(again.held[0].init, keras.initializers.HeNormal)
    assert again.held[1].get_config() == {"max_value": 2, "axis": 0}
    assert again.held[2] is keras.activations.silu
    assert again.filled.get_config() == {"value": 2.0}


@pytest.mark.law("S2")
def test_a_configuration_names_nothing_that_keras_would_import():
    config = FlaxLayer(Holder(Seeded("he_normal"))).get_config()
    text = json.dumps(config)
    assert "keras.initializers" in text and "HeNormal" in text
    for old, new in (("keras.initializers", "os"), ("HeNormal", "system")):
        with pytest.raises(DecodeModuleError, match="stored objects of Keras"):
            FlaxLayer.from_config(json.loads(text.replace(old, new)))
