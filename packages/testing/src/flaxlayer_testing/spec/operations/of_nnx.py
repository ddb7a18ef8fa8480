"""The registry of operations that nnx has, too: how a module makes and calls each of them (T1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from flaxlayer_testing.spec.operations import OPERATIONS, Site
from flaxlayer_testing.spec.operations.norms import EPSILON
from flaxlayer_testing.spec.operations.operation import keywords_text
from flaxlayer_testing.spec.spec import ValueType

__all__ = ["CACHE", "NNX_OPERATIONS", "NnxOperation", "NnxSite"]

CACHE = 4
"""How many elements the cache of an attention holds."""


@dataclass(frozen=True, kw_only=True)
class NnxSite(Site):
    """Where the text of an operation stands in an nnx module.

    Attributes:
        types: The types of its arguments.
        layer: The expression of its layer, where it has one.
        batch_size: The size of the batch, for a cache.
    """

    types: tuple[ValueType, ...]
    layer: str = ""
    batch_size: int = 2

    @property
    def size(self) -> int:
        """The number of features of the first argument."""
        return self.types[0].shape[-1]


Text = Callable[[NnxSite], str]


def _plain(site: NnxSite) -> str:
    return f"{site.layer}({', '.join(site.args)})"


@dataclass(frozen=True)
class NnxOperation:
    """How an nnx module does an operation.

    Attributes:
        make: The expression that makes its layer, or a variable or stream that it needs.
        call: The expression that calls it.
    """

    make: Text
    call: Text = _plain


def _layer(
    name: str, *first: str, size: bool = True, rngs: bool = True, **more: str
) -> NnxOperation:
    """Returns a stock layer: its size, some options by position, the others by name."""

    def make(site: NnxSite) -> str:
        by_name = {key: value for key, value in site.options.items() if key not in first}
        parts = [str(site.size)] if size else []
        parts += [repr(site.options[key]) for key in first] + keywords_text(by_name)
        parts += [f"{key}={value}" for key, value in more.items()]
        return f"nnx.{name}({', '.join([*parts, *(['rngs=rngs'] if rngs else [])])})"

    return NnxOperation(make)


def _general(site: NnxSite) -> str:
    axis = site.options["axis"]
    taken = site.types[0].shape[-len(axis) :] if isinstance(axis, tuple) else (site.size,)
    return f"nnx.LinearGeneral({taken}, {site.options['features']}, axis={axis}, rngs=rngs)"


def _sequential(site: NnxSite) -> str:
    first, last = _dense(site.size, 3), _dense(3, site.options["features"])
    return f"nnx.Sequential({first}, nnx.tanh, {last})"


def _dense(size: object, features: object, *more: str) -> str:
    return f"nnx.Linear({', '.join([str(size), str(features), *more, 'rngs=rngs'])})"


def _wrapped(name: str) -> NnxOperation:
    def make(site: NnxSite) -> str:
        inner = _dense(site.size, site.options["features"])
        return f"nnx.{name}({inner}, epsilon={EPSILON}, rngs=rngs)"

    return NnxOperation(make)


def _norm(name: str) -> NnxOperation:
    return _layer(name, epsilon=EPSILON)


# Without a mesh the names are metadata only.
_PARTITIONED = (
    "nnx.with_partitioning(nnx.initializers.lecun_normal(), (None, 'model'), eager_sharding=False)"
)


# Sequences.


def _attention(site: NnxSite) -> str:
    heads, rate = site.options["num_heads"], site.options["dropout_rate"]
    other = [f"in_kv_features={value.shape[-1]}" for value in site.types[1:2] if value.shape[1:]]
    parts = [str(heads), str(site.size), "4", *other, f"dropout_rate={rate}", "decode=False"]
    return f"nnx.MultiHeadAttention({', '.join(parts)}, rngs=rngs)"


def _causal(site: NnxSite) -> str:
    x = site.args[0]
    return f"{site.layer}({x}, mask=nnx.make_causal_mask({x}[..., 0]))"


def _masked_attention(site: NnxSite) -> str:
    x, mask = site.args
    return f"{site.layer}({x}, mask=nnx.make_attention_mask({mask}, {mask}))"


def _decoder(site: NnxSite) -> str:
    attention = f"nnx.MultiHeadAttention({site.options['num_heads']}, {site.size}, 4, decode=True"
    return f"with_cache({attention}, rngs=rngs), ({site.batch_size}, {CACHE}, {site.size}))"


def _rnn(cell: object, size: int, features: object, *more: str) -> str:
    made = f"nnx.{cell}({size}, {features}, rngs=rngs)"
    return f"nnx.RNN({', '.join([made, *more])})"


def _recurrent(site: NnxSite) -> str:
    cell, features = site.options["cell"], site.options["features"]
    reverse = f"reverse={site.options['reverse']}"
    return _rnn(cell, site.size, features, reverse, "keep_order=True")


def _bidirectional(site: NnxSite) -> str:
    cells = (site.options["forward"], site.options["backward"])
    return f"nnx.Bidirectional({', '.join(_rnn(cell, site.size, 2) for cell in cells)})"


# Variables, streams and sown values of the module's own.


def _table(site: NnxSite) -> str:
    return f"nnx.Param(jnp.ones(({site.size},), {site.options['dtype']!r}))"


def _on_variable(function: str, *, flag: bool = False) -> Text:
    def call(site: NnxSite) -> str:
        shown = {key: value for key, value in site.options.items() if key == "decay"}
        parts = [*site.args, site.layer, *keywords_text(shown)]
        return f"{function}({', '.join([*parts, *_flag(site, flag)])})"

    return call


def _flag(site: Site, flag: bool) -> list[str]:
    return [f"training={site.training}"] if flag else []


def _noise(*, flag: bool) -> NnxOperation:
    make: Text = lambda site: f"rngs[{site.options['stream']!r}].fork()"  # noqa: E731
    name = "training_noise" if flag else "always_noise"
    return NnxOperation(make, _on_variable(name, flag=flag))


def _sown(function: str, *, flag: bool = False) -> NnxOperation:
    def call(site: NnxSite) -> str:
        name = f"name='{function}_{site.index}'"
        shown = keywords_text(site.options)
        parts = ["self", *site.args, name, *_flag(site, flag), *shown]
        return f"{function}({', '.join(parts)})"

    return NnxOperation(lambda _: "", call)


def _counter(kind: str) -> Text:
    return lambda _: f"{kind}(jnp.zeros((), jnp.int32))"


_LAYERS: Mapping[str, NnxOperation] = {
    "dense": _layer("Linear", "features"),
    "dense_general": NnxOperation(_general),
    "einsum": NnxOperation(
        lambda s: f"nnx.Einsum('...a,ahd->...hd', ({s.size}, {s.options['heads']}, 2), rngs=rngs)"
    ),
    "embed": _layer("Embed", "num_embeddings", "features", size=False),
    "dropout": _layer("Dropout", "rate", size=False),
    "prelu": _layer("PReLU", size=False, rngs=False),
    "sequential": NnxOperation(_sequential),
    **{
        name: _layer("Conv", "features", "kernel_size")
        for name in ("conv", "conv_grouped", "conv_volume")
    },
    "conv_transpose": _layer("ConvTranspose", "features", "kernel_size"),
    "batch_norm": _norm("BatchNorm"),
    "layer_norm": _norm("LayerNorm"),
    "rms_norm": _norm("RMSNorm"),
    "group_norm": _norm("GroupNorm"),
    "instance_norm": _norm("InstanceNorm"),
    "weight_norm": _wrapped("WeightNorm"),
    "spectral_norm": _wrapped("SpectralNorm"),
    "partitioned_dense": NnxOperation(
        lambda s: _dense(s.size, s.options["features"], f"kernel_init={_PARTITIONED}")
    ),
}

_SEQUENCES: Mapping[str, NnxOperation] = {
    "attention": NnxOperation(_attention),
    "cross_attention": NnxOperation(_attention),
    "causal_attention": NnxOperation(_attention, _causal),
    "masked_attention": NnxOperation(_attention, _masked_attention),
    "decode": NnxOperation(_decoder, lambda s: f"{s.layer}({s.args[0]}[:, :1])"),
    "recurrent": NnxOperation(_recurrent),
    "bidirectional": NnxOperation(_bidirectional),
    "masked_norm": NnxOperation(
        _norm("BatchNorm").make,
        lambda s: f"{s.layer}({s.args[0]}, mask={s.args[1]}[..., None])",
    ),
    "masked_recurrent": NnxOperation(
        lambda s: _rnn("GRUCell", s.size, 3, "reverse=True"),
        lambda s: f"{s.layer}({s.args[0]}, seq_lengths=jnp.sum({s.args[1]}, axis=-1))",
    ),
}

_OWN: Mapping[str, NnxOperation] = {
    "table": NnxOperation(_table, _on_variable("scale_by")),
    "complex_dense": NnxOperation(
        lambda s: _dense(
            s.size, s.options["features"], "dtype=jnp.complex64", "param_dtype=jnp.complex64"
        ),
        lambda s: f"jnp.real({_plain(s)})",
    ),
    "tied_dense": NnxOperation(
        lambda s: f"Tied({_dense(s.size, s.options['features'])})",
    ),
    "tied_embed": NnxOperation(
        _layer("Embed", "num_embeddings", "features", size=False).make,
        lambda s: f"{s.layer}.attend(nnx.tanh({_plain(s)}))",
    ),
    "count_steps": NnxOperation(_counter("Steps"), _on_variable("count_steps", flag=True)),
    "count_calls": NnxOperation(_counter("Calls"), _on_variable("count_calls")),
    "moving_average": NnxOperation(
        lambda s: f"Averages(jnp.zeros({s.size}), source='features')",
        _on_variable("moving_average", flag=True),
    ),
    "training_noise": _noise(flag=True),
    "always_noise": _noise(flag=False),
    "sow_value": _sown("sow_value"),
    "sow_loss": _sown("sow_loss", flag=True),
}

# The names of functions of arrays are the same in nnx.
_ARRAYS: Sequence[str] = (
    *("activation", "merge", "concat", "split", "mean", "pool", "flatten", "unflatten"),
    *("swap_axes", "cast", "one_hot", "apply_mask", "masked_mean"),
)


def _of_arrays(name: str) -> NnxOperation:
    def call(site: NnxSite) -> str:
        return OPERATIONS[name].expression(site).replace("nn.", "nnx.").replace("jax.nnx", "jax.nn")

    return NnxOperation(lambda _: "", call)


NNX_OPERATIONS: Mapping[str, NnxOperation] = MappingProxyType(
    {**_LAYERS, **_SEQUENCES, **_OWN, **{name: _of_arrays(name) for name in _ARRAYS}}
)
"""How nnx does the operations that it has, by the name of each."""
