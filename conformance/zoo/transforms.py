"""Entries for the lifted transforms of `flax.linen`."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from conformance.zoo.entry import Entry, normal, transform

__all__ = ["ENTRIES"]

SEQUENCE = normal(2, 3, 4)


class Step(nn.Module):
    """One step of a scan: a cell with noise and a sown value."""

    @nn.compact
    def __call__(self, carry, x):
        carry = jnp.tanh(nn.Dense(carry.shape[-1])(x) + carry)
        self.sow("intermediates", "carry", carry)
        return carry, carry


class ScansTime(nn.Module):
    """A scan over time with one set of params."""

    @nn.compact
    def __call__(self, x):
        scan = nn.scan(
            Step,
            variable_broadcast="params",
            variable_axes={"intermediates": 1},
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
        )
        return scan()(jnp.zeros((x.shape[0], 3)), x)


class Block(nn.Module):
    """A residual block with state and dropout, as a step of a scan over depth."""

    @nn.compact
    def __call__(self, x, train):
        y = nn.BatchNorm(use_running_average=not train)(nn.Dense(x.shape[-1])(x))
        return x + nn.Dropout(0.5, deterministic=not train)(y), None


class ScansDepth(nn.Module):
    """A scan over layers: params and state have one more axis."""

    @nn.compact
    def __call__(self, x, train=False):
        scan = nn.scan(
            Block,
            variable_axes={"params": 0, "batch_stats": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=2,
        )
        return scan()(x, train)[0]


class VmapsHeads(nn.Module):
    """An ensemble over one input, with statistics over the axis that vmap made."""

    @nn.compact
    def __call__(self, x, train=False):
        heads = nn.vmap(
            nn.Dense,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=None,
            out_axes=1,
            axis_size=3,
        )
        norm = nn.vmap(
            nn.BatchNorm,
            variable_axes={"params": None, "batch_stats": None},
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
            axis_name="heads",
        )
        return norm(use_running_average=not train, axis_name="heads")(heads(2)(x))


class RematsMethods(nn.Module):
    """Rematerialisation of a method with a static argument."""

    @nn.compact
    def __call__(self, x, train=False):
        block = nn.remat(Block, static_argnums=(2,), policy=jax.checkpoint_policies.dots_saveable)
        return block()(x, train)[0]


class BinaryDense(nn.Module):
    """Params that are mapped on the way in."""

    @nn.compact
    def __call__(self, x):
        def sign(tree):
            return jax.tree_util.tree_map(jnp.sign, tree)

        # With init=True at apply Flax loses params that are not mutable, while others are.
        initializing = self.is_initializing()
        return nn.map_variables(nn.Dense, "params", sign, init=initializing)(3)(x)


class FoldsRngs(nn.Module):
    """Streams that are folded before the submodule draws from them."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.fold_rngs(nn.Dropout)(0.5)(nn.Dense(3)(x), deterministic=not train)


class NamedCall(nn.Module):
    """A method with a label of its own in traces."""

    @nn.named_call
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x)


class AddsMetadataAxis(nn.Module):
    """Partition metadata with one more axis."""

    @nn.compact
    def __call__(self, x):
        dense = nn.add_metadata_axis(
            nn.Dense, variable_axes={"params": 0}, metadata_params={nn.PARTITION_NAME: "layers"}
        )
        init = nn.with_partitioning(nn.initializers.lecun_normal(), ("in", "out"))
        return dense(3, kernel_init=init)(x)


ENTRIES: tuple[Entry, ...] = (
    transform(ScansTime, "scan", inputs=(SEQUENCE,)),
    transform(ScansDepth, "scan"),
    transform(VmapsHeads, "vmap"),
    transform(RematsMethods, "remat"),
    transform(lambda: nn.checkpoint(nn.Dense)(3), "checkpoint", name="CheckpointedDense"),
    transform(lambda: nn.jit(nn.Dense)(3), "jit", name="JittedDense"),
    transform(lambda: nn.jit(nn.remat(nn.LayerNorm))(), "jit", "remat", name="JittedRematNorm"),
    transform(lambda: nn.remat_scan(nn.Dense, lengths=(2, 2))(4), "remat_scan", name="RematScan"),
    transform(BinaryDense, "map_variables"),
    transform(AddsMetadataAxis, "add_metadata_axis"),
    transform(FoldsRngs, "fold_rngs"),
    transform(NamedCall, "named_call"),
)
