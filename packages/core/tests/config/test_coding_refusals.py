"""What cannot be stored is named by its path, with the fix, line by line (S1, §11)."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import AcceptModuleError, EncodeModuleError
from flaxlayer_core.config import Limits, encode_module, encode_value, register, remember

NAMED_FIX = (
    "Fix: Write it as a named function of a module file, or flaxlayer.register(f, name='...'), "
    "before loading too; or give the layer what makes the module: "
    "FlaxLayer(functools.partial(build, ...))."
)


class Holder(nn.Module):
    value: object


def message(value):
    with pytest.raises(EncodeModuleError) as caught:
        encode_module(Holder(value))
    return str(caught.value).splitlines()


def test_a_lambda_deep_in_the_fields_is_named_by_its_path():
    lines = message({"layers": [nn.relu, nn.Sequential((nn.Dense(2), lambda x: x))]})
    place = f"{__file__}:{Holder.__init__.__code__.co_firstlineno}"
    assert lines[0] == "Cannot store Holder.value['layers'][1].layers[1]."
    assert lines[1] == "Expected: a function that its name stands for"
    assert lines[2].startswith("Found: a lambda, from ")
    assert __file__ in lines[2] or place
    assert lines[3:] == [NAMED_FIX, "Law: S1"]


def test_a_local_function_that_captures_is_refused_with_what_it_captures():
    scale = 3
    lines = message(functools.partial(nn.Dense, kernel_init=lambda *a: scale))
    assert lines[0] == "Cannot store Holder.value.keywords['kernel_init']."

    def act(x):
        return x * scale

    assert message(act)[2].startswith("Found: the function test_a_local_function_that_captures")
    assert "which captures scale, from " in message(act)[2]


def test_a_bound_method_is_refused():
    assert message(nn.Dense(3).init)[2] == "Found: the bound method Module.init"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (object(), "an object of class builtins.object"),
        (iter([]), "an object of class builtins.list_iterator"),
        (dict, "the class builtins.dict"),
        (jax.devices()[0], f"an object of class {type(jax.devices()[0]).__module__}"),
        (np.array(["a"]), "dtype <U1"),
        (np.array([object()]), "dtype object"),
        (np.zeros(2, ">f4"), "dtype >f4"),
        (np.datetime64("2020-01-01"), "dtype datetime64[D]"),
        (jax.random.key(0), "dtype key<fry>"),
        (np.ma.array([1]), "an object of class numpy.ma"),
        (jnp.asarray([1, 2]) * 1, None),
    ],
    ids=lambda v: type(v).__name__,
)
def test_other_objects_are_refused_by_what_they_are(value, found):
    if found is None:
        encode_module(Holder(value))
        return
    lines = message(value)
    assert lines[0] == "Cannot store Holder.value."
    assert lines[2].startswith(f"Found: {found}")
    assert lines[3].startswith("Fix: ")


def test_a_mesh_in_an_initializer_is_refused_under_the_name_of_its_argument():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    layer = nn.Dense(3, kernel_init=nn.with_partitioning(nn.initializers.zeros, ("data",), mesh))
    assert message(layer)[0] == "Cannot store Holder.value.kernel_init(mesh=)."


def test_an_open_file_is_refused(tmp_path):
    with open(tmp_path / "a.txt", "w") as file:
        assert message(file)[2] == "Found: an object of class _io.TextIOWrapper"


def test_a_traced_array_is_refused():
    @jax.jit
    def store(x):
        assert message(x)[2] == "Found: a traced array"
        return x

    store(jnp.ones(2))


def test_a_value_that_contains_itself_is_refused():
    loop = [1]
    loop.append(loop)
    lines = message(loop)
    assert lines[0] == "Cannot store Holder.value[1]."
    assert lines[2] == "Found: a value that contains itself"


def test_what_could_not_be_loaded_again_is_not_stored():
    nested = []
    for _ in range(300):
        nested = [nested]
    assert message(nested)[1] == "Expected: at most 128 nested levels"
    assert message(list(range(200_000)))[1] == "Expected: at most 100000 values"
    assert message(np.zeros(70 << 20, np.int8))[1] == "Expected: arrays of at most 67108864 bytes"
    with pytest.raises(EncodeModuleError, match="strings of at most 10 characters"):
        encode_value("a" * 11, path="name", limits=Limits(string=10))


def test_a_module_bound_to_variables_is_refused():
    assert message(nn.Dense(3).bind({"params": {}}))[2:4] == [
        "Found: a module bound to variables",
        "Fix: Use module.unbind()[0].",
    ]


def test_a_class_whose_constructor_takes_more_than_its_fields_is_refused():
    @dataclasses.dataclass
    class Seeded:
        size: int
        seed: dataclasses.InitVar[int] = 0

    lines = message(Seeded(3, seed=4))
    assert lines[1] == "Expected: a class whose constructor takes its fields: size"
    assert lines[2].endswith("Seeded, whose constructor takes seed, size")


def make(scale):
    class Scaled(nn.Module):
        def __call__(self, x):
            return x * scale

    return Scaled()


def test_two_classes_that_share_a_name_but_captured_different_values_are_not_mixed_up():
    remember(make(2))
    encode_module(make(2))  # the same class made again is the same definition
    first, second = make(3), make(4)
    with pytest.raises(EncodeModuleError) as caught:
        encode_module(nn.Sequential([first, second]))
    assert "whose name another definition has by now" in caught.value.found
    assert "flaxlayer.register(...) each under its own name=" in caught.value.fix


def test_the_latest_definition_of_a_name_is_the_one_that_can_be_stored():
    old, new = make(5), make(6)
    remember(old)
    encode_module(old)
    with pytest.raises(EncodeModuleError):
        encode_module(new)
    remember(new)
    encode_module(new)
    with pytest.raises(EncodeModuleError):
        encode_module(old)


def test_a_transform_whose_arguments_have_no_name_says_which():
    lifted = nn.map_variables(nn.Dense, "params", lambda x: x, lambda x: x, mutable=True)
    lines = message(lifted(3))
    assert lines[0] == "Cannot store Holder.value(map_in_fn=)."
    assert lines[3] == NAMED_FIX
    register(lifted, package="tests", name="Doubled")
    assert encode_value(lifted, path="cls") == {"$type": "class", "name": "tests>Doubled"}
    encode_module(lifted(3))


def test_what_is_no_module_is_refused():
    with pytest.raises(AcceptModuleError) as caught:
        encode_module(nn.Dense)
    assert str(caught.value).splitlines() == [
        "Cannot store a configuration.",
        "Expected: an instance of a flax.linen.Module class, or a module of flax.nnx",
        "Found: the class flax.linen.linear.Dense",
        "Fix: Call the class: pass Dense(3), not Dense.",
        "Law: S1",
    ]
    with pytest.raises(AcceptModuleError):
        encode_module({"a": nn.Dense(3)})
