"""Errors of modules reach the user with their class and words, through Keras (A9)."""

import traceback

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer.explained_errors import explained
from flaxlayer_core import BuildModuleError, LowerModuleError, RunModuleError

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)
WORDS = "Attempted boolean conversion of traced array"


class Branches(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(2)(x)
        return x if x.sum() > 0 else -x


class NnxBranches(nnx.Module):
    def __init__(self, *, rngs):
        self.dense = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        x = self.dense(x)
        return x if x.sum() > 0 else -x


def convert(x):
    return np.asarray(x)


def count(x):
    return jnp.zeros(int(x.sum()) + 3)


def select(x):
    return x[x > 0]


ASKS = {
    "bool": (lambda x: x if x.sum() > 0 else -x, jax.errors.TracerBoolConversionError),
    "array": (convert, jax.errors.TracerArrayConversionError),
    "number": (count, jax.errors.ConcretizationTypeError),
    "index": (lambda x: list(range(9))[x.sum().astype(int)], None),
    "mask": (select, jax.errors.NonConcreteBooleanIndexError),
}


class Asks(nn.Module):
    what: str = "bool"

    @nn.compact
    def __call__(self, x):
        function = ASKS[self.what][0]
        return function(nn.Dense(2)(x))


class Nested(keras.Model):
    def __init__(self, layer, depth=1):
        super().__init__()
        self.inner = layer if depth == 0 else Nested(layer, depth - 1)

    def call(self, x):
        return self.inner(x)


def built(module):
    layer = FlaxLayer(module, name="branching")
    layer(X)
    return layer


def assert_explains(error, words=WORDS):
    text = str(error)
    assert words in text
    assert "Layer 'branching' (" in text
    assert "Fix: Write the branch with jax.lax.cond" in text
    assert text.count("Layer 'branching'") == 1


@pytest.mark.law("A9")
@pytest.mark.jax_only
@pytest.mark.parametrize("module", [Branches(), NnxBranches], ids=["linen", "nnx"])
@pytest.mark.parametrize("depth", [0, 2])
def test_a_branch_on_values_in_predict_is_explained(module, depth):
    model = Nested(built(module), depth)
    with pytest.raises(jax.errors.TracerBoolConversionError) as caught:
        model.predict(X, verbose=0)
    assert_explains(caught.value)


@pytest.mark.law("A9")
@pytest.mark.jax_only
@pytest.mark.parametrize("what", ASKS)
def test_each_need_of_a_value_keeps_its_class(what):
    layer = built(Asks(what))
    expected = ASKS[what][1] or jax.errors.TracerIntegerConversionError
    with pytest.raises(expected) as raw:
        jax.jit(Asks(what).apply)(layer.flax_variables(), X)
    with pytest.raises(expected) as caught:
        jax.jit(layer)(X)
    assert_explains(caught.value, str(raw.value).splitlines()[0][:40])


@pytest.mark.law("A9")
@pytest.mark.jax_only
def test_a_layer_that_is_first_called_in_a_trace_is_explained():
    layer = FlaxLayer(Branches(), name="branching")
    with pytest.raises(jax.errors.ConcretizationTypeError) as caught:
        jax.jit(Nested(layer))(X)
    assert_explains(caught.value)
    assert layer(X).shape == (2, 2)


@pytest.mark.law("A9")
def test_a_branch_on_values_in_a_functional_model_is_explained():
    with pytest.raises(jax.errors.ConcretizationTypeError) as caught:
        FlaxLayer(Branches(), name="branching")(keras.Input((4,)))
    assert_explains(caught.value)


@pytest.mark.law("A9")
@pytest.mark.not_on("torch", "fit traces nothing there, and such a module trains")
def test_fit_says_what_the_module_does():
    model = Nested(built(Branches()))
    model.compile("sgd", "mse")
    with pytest.raises((RuntimeError, LowerModuleError)) as caught:
        model.fit(X, X[:, :2], verbose=0)
    assert "Layer 'branching' (" in str(caught.value)
    assert "jax.lax.cond" in str(caught.value)


@pytest.mark.law("A9")
def test_what_the_explanation_advises_works_in_predict(close):
    layer = built(Branches())
    model = Nested(layer)
    model.compile(run_eagerly=True)
    close(model.predict(X, verbose=0), np.asarray(Branches().apply(layer.flax_variables(), X)))


@pytest.mark.law("A9")
@pytest.mark.jax_only
def test_a_side_effect_that_keeps_a_traced_array_is_explained():
    kept = []

    class Keeps(nn.Module):
        def __call__(self, x):
            kept.append(x)
            return x + kept[0]

    layer = FlaxLayer(Keeps(), name="keeping")
    model = Nested(layer)
    with pytest.raises(jax.errors.UnexpectedTracerError) as caught:
        model.predict(X, verbose=0)
    assert "Layer 'keeping' (Keeps.__call__) raised this." in str(caught.value)
    assert "Fix: Keep it in a variable" in str(caught.value)


# Errors of other makers.


class CodedError(Exception):
    def __init__(self, code, *, reason):
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self):
        return f"code {self.code}: {self.reason}"


class Raises(nn.Module):
    error: object = None

    @nn.compact
    def __call__(self, x, fail=False):
        if fail:
            raise self.error
        return nn.Dense(2)(x)


ERRORS = [
    CodedError(7, reason="too hot"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    OSError(2, "no such file"),
    KeyError(("a", 1)),
    ValueError("plain words", 3),
    ValueError("plain words"),
    RuntimeError(),
    NotImplementedError("not here"),
]


def caught_through_keras(error, layer_type=Nested):
    layer = FlaxLayer(Raises(error), name="raising")
    layer(X)
    model = layer_type(layer)

    class Failing(keras.layers.Layer):
        def call(self, x):
            return layer(x, fail=True)

    model = Nested(Failing(), 2)
    with pytest.raises(type(error)) as caught:
        model(X)
    return caught.value


@pytest.mark.law("A9")
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: repr(error)[:30])
def test_an_error_of_the_user_keeps_its_class_and_words(error):
    words = str(error)
    found = caught_through_keras(error)
    assert type(found) is type(error)
    assert words in str(found)


@pytest.mark.law("A9")
def test_an_error_of_the_user_keeps_its_fields_and_says_where_it_was_raised():
    found = caught_through_keras(CodedError(7, reason="too hot"))
    assert (found.code, found.reason) == (7, "too hot")
    assert "Layer 'raising' (Raises.__call__)" in "".join(traceback.format_exception(found))


@pytest.mark.law("A9")
def test_an_error_of_the_user_s_own_class_passes_a_build():
    class Fails(nn.Module):
        def __call__(self, x):
            raise CodedError(7, reason="too hot")

    with pytest.raises(CodedError, match="code 7: too hot") as caught:
        FlaxLayer(Fails())(X)
    assert caught.value.code == 7


@pytest.mark.law("B1")
def test_a_plain_error_in_a_build_is_an_error_of_the_build():
    class Fails(nn.Module):
        def __call__(self, x):
            raise RuntimeError("too hot")

    with pytest.raises(BuildModuleError, match="RuntimeError: too hot"):
        FlaxLayer(Fails())(X)


@pytest.mark.law("A9")
def test_an_error_that_takes_no_mark_is_told_in_its_words():
    class Slotted(Exception):
        def __setattr__(self, name, value):
            raise AttributeError(name)

        def __str__(self):
            return "its words"

    told = explained(Slotted(), "Layer 'raising' (Raises.__call__)")
    assert isinstance(told, RunModuleError)
    assert "Layer 'raising' (Raises.__call__) raised Slotted: its words" in str(told)


@pytest.mark.law("A9")
@pytest.mark.law("A11")
def test_a_plain_error_arrives_as_from_a_native_layer():
    class Native(keras.layers.Layer):
        def call(self, x):
            raise ValueError("too hot")

    class Fails(nn.Module):
        @nn.compact
        def __call__(self, x, fail=True):
            if fail:
                raise ValueError("too hot")
            return nn.Dense(2)(x)

    ours = FlaxLayer(Fails(), name="failing")
    ours(X, fail=False)
    texts = []
    for layer in (Native(name="failing"), ours):
        with pytest.raises(ValueError, match="too hot") as caught:
            keras.layers.Layer.__call__(layer, X)
        texts.append(str(caught.value).split("\n\n")[0].replace("Native", "FlaxLayer"))
    assert texts[0] == texts[1]
