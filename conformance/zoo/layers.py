"""Entries for the stock layers of `flax.linen`: linear, convolutions, norms, embeddings."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from conformance.zoo.entry import TOKENS, Entry, X, linen, normal

__all__ = ["ENTRIES"]

IMAGE = normal(2, 5, 5, 2)
SIGNAL = normal(2, 6, 3)


class WithFp8(nn.Module):
    """A dense layer whose product is a submodule with state of its own."""

    product: type[nn.Module]

    @nn.compact
    def __call__(self, x):
        return nn.Dense(4, dot_general_cls=self.product)(x)


class WithFp8Einsum(nn.Module):
    """A contraction whose state is written by the gradient."""

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], 4))
        return nn.Fp8Einsum()("bd,de->be", x, kernel)


class AttendsToTable(nn.Module):
    """A language model's tied embedding."""

    @nn.compact
    def __call__(self, ids):
        table = nn.Embed(5, 4)
        return table.attend(jnp.tanh(table(ids)))


class Pools(nn.Module):
    """Functions of `flax.linen` that hold no variables."""

    @nn.compact
    def __call__(self, x):
        x = nn.max_pool(x, (2, 2), padding="SAME")
        return nn.avg_pool(x, (2, 2), strides=(2, 2))


LINEAR = (
    linen(lambda: nn.Dense(3), X),
    linen(lambda: nn.Dense(3, use_bias=False), SIGNAL, name="DenseOfSequence"),
    linen(lambda: nn.DenseGeneral((2, 3), axis=(-2, -1)), SIGNAL),
    linen(lambda: nn.DenseGeneral(3, batch_dims=(0,)), normal(2, 4, 3), name="DenseGeneralBatch"),
    linen(lambda: nn.Einsum((3, 2, 4), "abc,cde->abde"), SIGNAL),
    linen(lambda: nn.Embed(5, 3), TOKENS),
    linen(AttendsToTable, TOKENS, covers=("linen.Embed", "feature.method_of_submodule")),
    linen(lambda: nn.PReLU(negative_slope_init=0.2), X),
    linen(lambda: nn.Dropout(0.5), X),
    linen(lambda: nn.Dropout(0.5, rng_collection="noise", broadcast_dims=(1,)), X, name="Noise"),
    linen(lambda: nn.Dropout(0.5, deterministic=True), X, name="DropoutOff"),
    linen(lambda: nn.Sequential([nn.Dense(3), nn.relu, nn.Dense(2)]), X),
    linen(Pools, IMAGE, covers=("feature.functions",)),
)

CONVOLUTIONS = (
    linen(lambda: nn.Conv(3, (3,)), SIGNAL, name="Conv1D"),
    linen(lambda: nn.Conv(4, (3, 3), strides=2, feature_group_count=2), IMAGE, name="Conv2D"),
    linen(lambda: nn.Conv(2, (2, 2, 2), padding="VALID"), normal(1, 3, 3, 3, 2), name="Conv3D"),
    linen(lambda: nn.Conv(3, (3,), padding="CAUSAL", kernel_dilation=2), SIGNAL, name="Causal"),
    linen(lambda: nn.Conv(3, (3,), mask=jnp.ones((3, 3, 3))), SIGNAL, name="ConvMask"),
    linen(lambda: nn.ConvTranspose(3, (3, 3), strides=(2, 2)), IMAGE),
    linen(lambda: nn.ConvLocal(3, (3,)), SIGNAL),
)

NORMS = (
    linen(lambda: nn.BatchNorm(momentum=0.5), X),
    linen(lambda: nn.BatchNorm(use_running_average=True), X, name="BatchNormOff"),
    linen(lambda: nn.LayerNorm(), X),
    linen(lambda: nn.RMSNorm(), X),
    linen(lambda: nn.GroupNorm(num_groups=2), IMAGE),
    linen(lambda: nn.InstanceNorm(), IMAGE),
    linen(lambda: nn.WeightNorm(nn.Dense(3)), X),
    linen(lambda: nn.SpectralNorm(nn.Dense(3)), X, training_arg="update_stats"),
)

FP8 = tuple(
    Entry(
        product.__name__,
        tuple(f"linen.{name}" for name, value in vars(nn).items() if value is product),
        lambda product=product: (WithFp8(product), (X,)),
    )
    for product in (nn.Fp8DirectDotGeneralOp, nn.Fp8DotGeneralOp, nn.NANOOFp8DotGeneralOp)
)
"""Each covers its aliases, too."""

ENTRIES = (
    *LINEAR,
    *CONVOLUTIONS,
    *NORMS,
    *FP8,
    linen(WithFp8Einsum, X, covers=("linen.Fp8Einsum",)),
)
