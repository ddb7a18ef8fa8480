"""Published modules and the ways people configure them, each with its inputs and its raw side."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax import nnx
from ml_collections import FrozenConfigDict
from transformers import BertConfig, FlaxBertModel, FlaxViTModel, ViTConfig
from transformers.models.bert.modeling_flax_bert import FlaxBertModule
from transformers.models.vit.modeling_flax_vit import FlaxViTModule

from conformance.field.nets import Drops, Encoder, Reader, encoder_config
from flaxlayer import FlaxLayer

__all__ = ["SUBJECTS", "Subject"]

Rngs = Mapping[str, Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3)).astype(np.float32)
NETS = "conformance.field.nets"


@dataclass(frozen=True)
class Subject:
    """A module that people wrap.

    Attributes:
        make: Makes its layer.
        inputs: The arrays of a batch.
        raw: What Flax gives of the params, of the inputs and of keys, None at inference.
        known: What a process that loads a model has to register, as `module:Name`.
        pick: What of the output a model goes on with.
    """

    make: Callable[[], FlaxLayer]
    inputs: tuple[np.ndarray, ...]
    raw: Callable[[Any, tuple[Any, ...], Rngs | None], Any]
    known: tuple[str, ...]
    pick: Callable[[Any], Any] = lambda output: output


def linen(module: nn.Module, flag: str, **statics: Any) -> Callable[..., Any]:
    """Returns the raw side of a linen module, whose flag may be negated by `~`."""

    def raw(params: Any, inputs: tuple[Any, ...], rngs: Rngs | None) -> Any:
        training = (rngs is not None) != flag.startswith("~")
        given = {flag.removeprefix("~"): training, **statics}
        return module.apply({"params": params}, *inputs, rngs=rngs or {}, **given)

    return raw


def nnx_raw(make: Callable[..., nnx.Module], at_call: bool) -> Callable[..., Any]:
    """Returns the raw side of an nnx module, which takes its keys at the call or when reseeded."""

    def raw(params: Any, inputs: tuple[Any, ...], rngs: Rngs | None) -> Any:
        graph, state, rest = nnx.split(make(rngs=nnx.Rngs(params=0, dropout=1)), nnx.Param, ...)
        values = jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(params))
        module = nnx.merge(graph, values, rest)
        (module.eval if rngs is None else module.train)()
        if at_call:
            return module(*inputs, rngs=None if rngs is None else nnx.Rngs(**rngs))
        nnx.reseed(module, policy="match_shape", **(rngs or {}))
        return module(*inputs)

    return raw


def bert() -> Subject:
    """BERT of transformers, with the weights that it makes itself and padded tokens."""
    config = BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
    )
    tokens = RNG.integers(1, 20, (4, 6)).astype(np.int32)
    mask = (np.arange(6) < np.array([[6], [5], [4], [3]])).astype(np.int32)
    positions = np.broadcast_to(np.arange(6, dtype=np.int32), tokens.shape)
    return Subject(
        lambda: FlaxLayer(
            FlaxBertModule(config), variables={"params": FlaxBertModel(config, seed=1).params}
        ),
        (tokens, mask, np.zeros_like(tokens), positions),
        linen(FlaxBertModule(config), "~deterministic"),
        ("transformers.models.bert.modeling_flax_bert:FlaxBertModule", "transformers:BertConfig"),
        lambda output: output.pooler_output,
    )


def vit() -> Subject:
    """ViT of transformers, whose images stand in transformers' order of axes."""
    config = ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=4,
        patch_size=2,
        hidden_dropout_prob=0.1,
    )
    return Subject(
        lambda: FlaxLayer(
            FlaxViTModule(config), variables={"params": FlaxViTModel(config, seed=1).params}
        ),
        (RNG.normal(size=(4, 4, 4, 3)).astype(np.float32),),
        linen(FlaxViTModule(config), "~deterministic"),
        ("transformers.models.vit.modeling_flax_vit:FlaxViTModule", "transformers:ViTConfig"),
        lambda output: output.last_hidden_state[:, 0],
    )


def configured(config: Any) -> Subject:
    """A linen module with a configuration of ml_collections in a field."""
    known = (f"{NETS}:Encoder",)
    return Subject(lambda: FlaxLayer(Encoder(config)), (X,), linen(Encoder(config), "train"), known)


def constructed(config: Any) -> Subject:
    """An nnx module whose constructor takes a configuration of ml_collections."""
    make = functools.partial(Reader, config, 3)
    return Subject(lambda: FlaxLayer(make), (X,), nnx_raw(make, at_call=False), (f"{NETS}:Reader",))


def keyed() -> Subject:
    """An nnx module that is given its keys at the call."""
    make = functools.partial(Drops, 3)
    return Subject(lambda: FlaxLayer(make), (X,), nnx_raw(make, at_call=True), (f"{NETS}:Drops",))


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "BERT": bert,
    "ViT": vit,
    "linen, ConfigDict": lambda: configured(encoder_config()),
    "linen, FrozenConfigDict": lambda: configured(FrozenConfigDict(encoder_config())),
    "nnx, ConfigDict": lambda: constructed(encoder_config()),
    "nnx, FrozenConfigDict": lambda: constructed(FrozenConfigDict(encoder_config())),
    "nnx, rngs at the call": keyed,
}
