"""Linen modules behind core's protocol: what is accepted, which methods there are (A3, A6)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import freeze

from flaxlayer_core import AcceptModuleError, InspectMethodError, LinenModule

X = jnp.ones((2, 3))
KEY = {"params": jax.random.key(0)}


class Base(nn.Module):
    def inherited(self, x):
        return x


class Coder(Base):
    """Has something of everything that a name may stand for."""

    width: int = 4
    activation: object = nn.relu
    squash: object = lambda x: x / 2

    def setup(self):
        self.inner = nn.Dense(self.width)

    def __call__(self, x):
        return self.decode(self.encode(x))

    def encode(self, x, *, scale=1.0):
        return self.inner(x) * scale

    def decode(self, z):
        return self._secret(z)

    def _secret(self, z):
        return z

    @staticmethod
    def static(x):
        return x

    @classmethod
    def build(cls):
        return cls()

    @property
    def size(self):
        return 1


class NoCall(nn.Module):
    def encode(self, x):
        return x


def run(module, method, *args):
    """The outputs of a method through the protocol, on variables that raw Flax made."""
    linen = LinenModule(module)
    variables = module.init(KEY, X)
    resolved = linen.resolve_method(method)
    return linen.apply(variables, args, {}, method=resolved, rngs={}, mutable=["none"])[0]


def encode_twice(module, x):
    return module.encode(x) + module.encode(x)


@pytest.mark.law("A3")
@pytest.mark.parametrize("bound_to", ["name", "bound", "unbound", "function"])
def test_a_method_is_found_however_it_is_given(bound_to):
    module = Coder()
    method = {
        "name": "encode",
        "bound": module.encode,
        "unbound": Coder.encode,
        "function": lambda m, x: m.encode(x),
    }[bound_to]
    expected = module.apply(module.init(KEY, X), X, method="encode")
    assert jnp.array_equal(run(module, method, X), expected)


@pytest.mark.law("A3")
def test_no_method_means_call():
    assert LinenModule(Coder()).resolve_method(None) == "__call__"


@pytest.mark.law("A3")
@pytest.mark.parametrize("method", ["encode", Coder.encode], ids=["name", "unbound"])
def test_a_method_of_the_module_is_known_by_its_name(method):
    assert LinenModule(Coder()).resolve_method(method) == "encode"


@pytest.mark.law("A3")
def test_a_bound_method_is_known_by_its_name():
    module = Coder()
    assert LinenModule(module).resolve_method(module.encode) == "encode"


@pytest.mark.law("A3")
def test_an_inherited_public_method_is_the_modules_own():
    assert LinenModule(Coder()).resolve_method("inherited") == "inherited"


@pytest.mark.law("A3")
def test_a_function_may_call_several_methods():
    module = Coder()
    once = module.apply(module.init(KEY, X), X, method="encode")
    assert jnp.array_equal(run(module, encode_twice, X), once + once)


@pytest.mark.law("A3")
def test_a_partial_function_is_a_function():
    module = Coder()
    once = module.apply(module.init(KEY, X), X, method="encode")
    doubled = run(module, functools.partial(Coder.encode, scale=2.0), X)
    assert jnp.array_equal(doubled, once * 2)


@pytest.mark.law("A3")
@pytest.mark.parametrize(
    "name",
    [
        "__init__",
        "__post_init__",
        "__class__",
        "__setattr__",
        "setup",
        "init",
        "apply",
        "bind",
        "clone",
        "variable",
        "unknown",
        "encode.__globals__",
        "",
        "width",
        "activation",
        "squash",
        "static",
        "build",
        "size",
        "name",
        "parent",
        "scope",
    ],
)
def test_what_is_no_public_method_is_refused(name):
    with pytest.raises(InspectMethodError):
        LinenModule(Coder()).resolve_method(name)


@pytest.mark.law("A3")
@pytest.mark.parametrize("method", [nn.Module.init, Coder.setup], ids=["base", "setup"])
def test_an_unbound_method_that_is_not_public_is_refused(method):
    with pytest.raises(InspectMethodError):
        LinenModule(Coder()).resolve_method(method)


@pytest.mark.law("A3")
def test_a_bound_method_that_is_not_public_is_refused():
    module = Coder()
    with pytest.raises(InspectMethodError):
        LinenModule(module).resolve_method(module.init)


@pytest.mark.law("A3")
def test_the_default_of_a_field_is_no_method():
    with pytest.raises(InspectMethodError):
        LinenModule(nn.Dense(2)).resolve_method("kernel_init")


@pytest.mark.law("A3")
@pytest.mark.parametrize("method", [3, object(), b"encode", ("encode",)])
def test_what_is_neither_a_name_nor_callable_is_refused(method):
    with pytest.raises(InspectMethodError):
        LinenModule(Coder()).resolve_method(method)


@pytest.mark.law("A3")
def test_a_method_that_does_not_exist_is_explained():
    with pytest.raises(InspectMethodError) as caught:
        LinenModule(Coder()).resolve_method("encoder")
    assert str(caught.value).splitlines() == [
        "Module Coder has no such public method.",
        "Expected: one of: __call__, decode, encode, inherited",
        "Found: 'encoder'",
        "Fix: Name a public method of the module, or pass a function f(module, ...).",
        "Law: A3",
    ]


@pytest.mark.law("A3")
def test_a_module_without_call_needs_the_name_of_a_method():
    with pytest.raises(InspectMethodError, match="Expected: one of: encode"):
        LinenModule(NoCall()).resolve_method(None)


@pytest.mark.law("A3")
@pytest.mark.parametrize("method", ["encode", encode_twice, "__call__"])
def test_a_signature_leaves_the_module_out(method):
    expected = {"encode": "(x, *, scale=1.0)", "__call__": "(x)", encode_twice: "(x)"}[method]
    assert str(LinenModule(Coder()).signature(method)) == expected


@pytest.mark.law("A3")
def test_a_decorator_that_takes_anything_hides_no_argument():
    def wrapped(*args, **kwargs):
        return encode_twice(*args, **kwargs)

    signature = LinenModule(Coder()).signature(wrapped)
    assert signature.bind(1, 2).args == (1, 2)


@pytest.mark.law("A2")
@pytest.mark.parametrize(
    ("module", "name", "fixed"),
    [
        (nn.Dropout(0.5, deterministic=True), "deterministic", True),
        (nn.Dropout(0.5, deterministic=False), "deterministic", True),
        (nn.Dropout(0.5), "deterministic", False),
        (nn.Dense(2), "deterministic", False),
    ],
)
def test_a_setting_is_fixed_where_a_field_holds_a_value(module, name, fixed):
    assert LinenModule(module).decides_argument(name) is fixed


def refusal(module):
    with pytest.raises(AcceptModuleError) as caught:
        LinenModule(module)
    failed, expected, found, fix = str(caught.value).splitlines()
    assert failed == "FlaxLayer cannot take this as a module."
    assert expected == (
        "Expected: an unbound instance of flax.linen.Module, or a module of flax.nnx"
    )
    return found, fix


def test_a_module_class_is_explained():
    assert refusal(Coder) == ("Found: the class Coder", "Fix: Pass an instance: Coder(...).")


def test_a_bound_module_is_explained():
    assert refusal(Coder().bind({})) == (
        "Found: a bound module",
        "Fix: Pass the module that `Module.bind` was called on.",
    )


@pytest.mark.parametrize("value", [None, "Dense", 3, len, dict])
def test_what_is_no_module_is_explained(value):
    assert refusal(value) == (
        f"Found: {type(value).__name__}: {value!r}",
        "Fix: Pass an instance of flax.linen.Module, or an nnx module.",
    )


def test_a_refused_module_is_a_type_error_as_in_the_reference():
    with pytest.raises(TypeError):
        LinenModule("Dense")


@pytest.mark.law("C1")
def test_variables_come_out_as_plain_dicts():
    class Frozen(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.variable("state", "tree", lambda: freeze({"n": jnp.zeros(1)}))
            return x

    linen = LinenModule(Frozen())
    variables = linen.init(KEY, (X,), {}, method="__call__")
    _, updates = linen.apply(variables, (X,), {}, method="__call__", rngs={}, mutable=["state"])
    assert type(variables["state"]["tree"]) is dict
    assert type(updates["state"]["tree"]) is dict


@pytest.mark.law("W2")
def test_a_bound_module_holds_the_variables():
    module = Coder()
    variables = module.init(KEY, X)
    bound = LinenModule(module).bind(freeze(variables))
    assert jnp.array_equal(bound(X), module.apply(variables, X))


@pytest.mark.law("A6")
def test_logical_axis_rules_are_part_of_the_context_of_a_call():
    linen = LinenModule(Coder())
    outside = linen.call_context()
    with nn.logical_axis_rules([("embed", "model")]):
        assert linen.call_context() == (("embed", "model"),)
    assert linen.call_context() == outside == ()


@pytest.mark.law("A6")
def test_method_interceptors_cannot_be_part_of_a_key():
    with nn.intercept_methods(lambda f, args, kwargs, context: f(*args, **kwargs)):
        assert LinenModule(Coder()).call_context() is None


def test_the_module_and_its_class_name_are_at_hand():
    module = Coder()
    linen = LinenModule(module)
    assert (linen.module is module, linen.class_name) == (True, "Coder")


def test_init_and_apply_pass_keyword_arguments_and_streams_on():
    module, x = nn.Dropout(0.5), np.ones((4, 4), np.float32)
    linen = LinenModule(module)
    rngs = {"dropout": jax.random.key(3)}
    outputs, updates = linen.apply(
        {}, (x,), {"deterministic": False}, method="__call__", rngs=rngs, mutable=["state"]
    )
    assert jnp.array_equal(outputs, module.apply({}, x, deterministic=False, rngs=rngs))
    assert updates == {}
