"""What users of `keras.layers.FlaxLayer` run into, as programs that run with either layer (T3, T6).

Each case is a short program of a layer factory. With our layer it passes; with the reference it
fails in the stated way. The README's table is made from this list.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
from flax import nnx

__all__ = ["CASES", "Case", "LayerFactory", "readme_table", "table"]

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)
LayerFactory = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """One thing that people do.

    Attributes:
        title: What it is, as the README says it.
        run: The program; it raises where the layer does not do it.
        error: The type that the reference fails with; `AssertionError` for a wrong result.
        fragment: A part of the reference's message, or of the assertion's.
        reference: What happens with the reference, as the README says it.
        ours: What happens with our layer.
        since: The first minor version of Keras whose reference fails so.
        flax: The first minor version of Flax that has what the program uses.
    """

    title: str
    run: Callable[[LayerFactory], None]
    error: type[BaseException]
    fragment: str
    reference: str
    ours: str = "works"
    since: tuple[int, int] = (3, 6)
    flax: tuple[int, int] = (0, 10)


class Tokens(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        return nn.Embed(7, 3)(inputs)


class Sows(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        hidden = nn.Dense(3)(inputs)
        self.sow("intermediates", "hidden", hidden)
        return hidden


class Noise(nn.Module):
    @nn.compact
    def __call__(self, inputs, training):
        return inputs + jax.random.normal(self.make_rng("noise"), inputs.shape) * training


class Latent(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        return inputs + jax.random.normal(self.make_rng("dropout"), inputs.shape)


class DropsByDefault(nn.Module):
    @nn.compact
    def __call__(self, inputs, train=False):
        return nn.Dropout(0.5, deterministic=not train)(inputs)


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, a, b):
        return nn.Dense(3)(a) + b


class Encoder(nn.Module):
    def setup(self):
        self.dense = nn.Dense(3)

    def encode(self, inputs):
        return self.dense(inputs)

    def __call__(self, inputs):
        return self.encode(inputs)


class Half(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        return nn.Dense(3, param_dtype=jnp.bfloat16)(inputs)


class Norm(nn.Module):
    @nn.compact
    def __call__(self, inputs, training):
        return nn.BatchNorm(use_running_average=not training)(inputs)


class Masked(nn.Module):
    @nn.compact
    def __call__(self, inputs, mask=None):
        return inputs if mask is None else jnp.where(mask[..., None], inputs, 0.0)


class TwoDense(nn.Module):
    first: str = "a"
    second: str = "b"

    @nn.compact
    def __call__(self, inputs):
        return nn.Dense(4, name=self.second)(nn.Dense(4, name=self.first)(inputs))


@flax.struct.dataclass
class Moments:
    mean: jax.Array
    spread: jax.Array


class Summarises(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        hidden = nn.Dense(3)(inputs)
        return Moments(hidden.mean(-1), hidden.std(-1))


class Affine(nnx.Module):
    def __init__(self, *, rngs):
        self.linear = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, inputs):
        return self.linear(inputs)


class Counts(nn.Module):
    runs = 0

    @nn.compact
    def __call__(self, inputs):
        type(self).runs += 1
        return nn.Dense(3)(inputs)


def tokens(make: LayerFactory) -> None:
    assert make(Tokens())(np.array([[1, 2]])).shape == (1, 2, 3)


def sow(make: LayerFactory) -> None:
    layer = make(Sows())
    layer(X)
    assert layer(X).shape == (2, 3)


def stream(make: LayerFactory) -> None:
    layer = make(Noise())
    assert not (np.asarray(layer(X, training=True)) == X).any()


def inference_randomness(make: LayerFactory) -> None:
    assert not (np.asarray(make(Latent())(X)) == X).any()


def default_flag(make: LayerFactory) -> None:
    ones = np.ones((4, 32), np.float32)
    dropped = np.asarray(make(DropsByDefault())(ones, training=True)) == 0
    assert dropped.any(), "dropout was not trained"


def two_inputs(make: LayerFactory) -> None:
    assert make(TwoInputs())(X, X[:, :3]).shape == (2, 3)


def named_method(make: LayerFactory) -> None:
    assert make(Encoder(), method="encode")(X).shape == (2, 3)


def saving(make: LayerFactory) -> None:
    model = keras.Sequential([keras.Input((4,)), make(Encoder())])
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def nnx_module(make: LayerFactory) -> None:
    module = Affine(rngs=nnx.Rngs(0))
    np.testing.assert_allclose(np.asarray(make(module)(X)), module(X), rtol=1e-5, atol=1e-6)


def class_of_outputs(make: LayerFactory) -> None:
    tensor = keras.Input((4,))
    outputs = make(Summarises())(tensor)
    assert keras.Model(tensor, [outputs.mean, outputs.spread])(X)[1].shape == (2,)


def padded_attention(make: LayerFactory) -> None:
    tokens = np.array([[1, 2, 0], [3, 0, 0], [1, 1, 1]])
    embedded = keras.layers.Embedding(5, 4, mask_zero=True)(tokens)
    module = nn.MultiHeadDotProductAttention(2)
    variables = module.init(jax.random.key(0), np.asarray(embedded))
    attended = module.apply(variables, np.asarray(embedded), mask=(tokens != 0)[:, None, None])
    outputs = np.asarray(make(module, variables=variables)(embedded))
    assert np.allclose(outputs, attended, rtol=1e-5, atol=1e-5), "padding was attended to"


def half_precision(make: LayerFactory) -> None:
    layer = make(Half())
    layer(X)
    assert {v.dtype for v in layer.weights} == {"bfloat16"}, "params are not bfloat16"


def mixed_policy(make: LayerFactory) -> None:
    layer = make(Norm(), dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = np.full((2400, 1), 10.0, np.float32)
    model.fit(x, x, batch_size=4, verbose=0)
    mean = float(layer.state["batch_stats"]["BatchNorm_0"]["mean"][0])
    assert abs(mean - 10.0 * (1 - 0.99**600)) < 0.01, f"the mean stands at {mean:.2f}"


def mask(make: LayerFactory) -> None:
    embedding = keras.layers.Embedding(5, 4, mask_zero=True)
    outputs = np.asarray(make(Masked())(embedding(np.array([[1, 0]]))))
    assert (outputs[0, 1] == 0).all(), "the mask did not reach the module"


def weight_paths(make: LayerFactory) -> None:
    layer = make(Encoder(), name="encoder")
    layer(X)
    assert "encoder/params/dense/kernel" in {v.path for v in layer.weights}, "paths say nothing"


def renamed_weights(make: LayerFactory) -> None:
    saved, other = (keras.Sequential([make(m)]) for m in (TwoDense("a", "b"), TwoDense("c", "b")))
    saved(X), other(X)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.weights.h5"
        saved.save_weights(path)
        try:
            other.load_weights(path)
        except ValueError:
            return
    raise AssertionError("weights of other names were loaded, each into another place")


def lazy_fit(make: LayerFactory) -> None:
    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.net = make(Encoder())

        def call(self, x: Any) -> Any:
            return self.net(x)

    model = Model()
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], verbose=0)


def compiled(make: LayerFactory) -> None:
    layer = make(Counts())
    layer(X)
    before = Counts.runs
    layer(X)
    assert Counts.runs == before, "the second call ran the module's Python again"


def seeded(make: LayerFactory) -> None:
    values = []
    for _ in range(2):
        layer = make(Encoder(), seed=1)
        layer(X)
        values.append(np.asarray(layer.weights[-1].value))
    np.testing.assert_array_equal(*values)


CASES = (
    Case("modules of `flax.nnx`", nnx_module, AttributeError, "init", "fails", flax=(0, 11)),
    Case("integer tokens", tokens, ValueError, "integer", "fails"),
    Case("`sow`", sow, ValueError, "", "fails"),
    Case("rng streams besides `dropout`", stream, Exception, "noise", "fails"),
    Case("randomness at inference", inference_randomness, Exception, "dropout", "fails"),
    Case("`train=` with a default", default_flag, AssertionError, "not trained", "never trains it"),
    Case("several inputs", two_inputs, TypeError, "", "fails"),
    Case("outputs of a class", class_of_outputs, ValueError, "must be tensors", "fails"),
    Case("`method` by name", named_method, TypeError, "", "fails"),
    Case("saving a module as it is", saving, Exception, "", "fails"),
    Case("bfloat16 params", half_precision, AssertionError, "bfloat16", "stores float32"),
    Case(
        "600 mixed_bfloat16 steps",
        mixed_policy,
        AssertionError,
        "mean stands at 7.2",
        "casts state",
    ),
    Case("Keras masks", mask, AssertionError, "did not reach", "drops them"),
    Case("padding in attention", padded_attention, AssertionError, "attended to", "attends to it"),
    Case(
        "weight paths of the module", weight_paths, AssertionError, "say nothing", "`variable_10`"
    ),
    Case(
        "a file of renamed weights",
        renamed_weights,
        AssertionError,
        "other",
        "loads by order",
        "refused",
    ),
    Case("building inside `fit`", lazy_fit, Exception, "tracing scope", "fails"),
    Case("compiled eager calls", compiled, AssertionError, "Python again", "op by op"),
    Case("`seed` for init too", seeded, AssertionError, "", "seeds calls only", since=(3, 14)),
)


def readme_table() -> str:
    """Returns the README's table in Markdown: two cases on a line, so that it is short."""
    half = -(-len(CASES) // 2)
    cells = [f"| {case.title} | {case.ours} | {case.reference} " for case in CASES]
    left, right = cells[:half], [*cells[half:], *["| | | "] * (2 * half - len(cells))]
    head = "| | flaxlayer | Keras's "
    lines = [f"{head}{head}|", "| --- | --- | --- | --- | --- | --- |"]
    return "\n".join([*lines, *(f"{one}{other}|" for one, other in zip(left, right, strict=True))])


def table(cases: Iterable[Case]) -> str:
    """Returns what both layers do of some cases, in Markdown."""
    lines = ["| | `flaxlayer.FlaxLayer` | `keras.layers.FlaxLayer` |", "| --- | --- | --- |"]
    lines += [f"| {case.title} | {case.ours} | {case.reference} |" for case in cases]
    return "\n".join(lines)
