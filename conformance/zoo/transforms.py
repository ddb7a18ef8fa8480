"""Entries for the lifted transforms of `flax.linen`."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from conformance.zoo.entry import Entry, X, linen, normal

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

        return nn.map_variables(nn.Dense, "params", sign, init=True)(3)(x)


class WhileLoop(nn.Module):
    """A loop that carries state."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("counters", "count", lambda: jnp.zeros((), jnp.int32))
        start = count.value

        def proceed(module, carry):
            return module.get_variable("counters", "count") < start + 3

        def body(module, carry):
            now = module.get_variable("counters", "count")
            module.put_variable("counters", "count", now + 1)
            return jnp.tanh(module.dense(carry))

        self.dense = nn.Dense(4)
        if self.is_initializing():
            return self.dense(x)
        return nn.while_loop(proceed, body, self, x, carry_variables="counters")


class Cond(nn.Module):
    """Branches on a value within the compiled function, each counting its calls."""

    @nn.compact
    def __call__(self, x):
        counts = [self.variable("counters", n, lambda: jnp.zeros((), jnp.int32)) for n in "ab"]
        first, second = nn.Dense(3, name="first"), nn.Dense(3, name="second")

        def positive(module, x):
            module.put_variable("counters", "a", counts[0].value + 1)
            return first(x)

        def negative(module, x):
            module.put_variable("counters", "b", counts[1].value + 1)
            return second(x)

        if self.is_initializing():
            return first(x) + second(x)
        return nn.cond(jnp.sum(x) > 0, positive, negative, self, x)


class Switch(nn.Module):
    """A mixture of experts that runs one of them."""

    def setup(self):
        self.experts = [nn.Dense(3) for _ in range(3)]

    def __call__(self, x):
        def expert(number):
            return lambda module, x: module.experts[number](x)

        if self.is_initializing():
            for module in self.experts:
                module(x)
        index = jnp.argmax(jnp.sum(x, axis=0)) % 3
        return nn.switch(index, [expert(number) for number in range(3)], self, x)


class CustomVjp(nn.Module):
    """A backward pass of its own: the gradient of the input alone is doubled."""

    @nn.compact
    def __call__(self, x):
        def run(module, x):
            return module(x)

        def forward(module, x):
            return nn.vjp(run, module, x)

        def backward(pullback, cotangent):
            params, inputs = pullback(cotangent)
            return params, 2 * inputs

        return nn.custom_vjp(run, forward_fn=forward, backward_fn=backward)(nn.Dense(3), x)


class Differentiates(nn.Module):
    """Derivatives of a submodule as outputs: an energy and its force."""

    transform: str

    @nn.compact
    def __call__(self, x):
        energy = nn.Dense(1)

        def run(module, x):
            return jnp.sum(jnp.tanh(module(x)) ** 2)

        if self.transform == "vjp":
            value, pullback = nn.vjp(run, energy, x)
            params, force = pullback(jnp.ones_like(value))
            return value, force, params
        if self.transform == "jvp":
            energy(x)
            zeros = jax.tree_util.tree_map(jnp.zeros_like, dict(energy.variables["params"]))
            return nn.jvp(run, energy, (x,), (jnp.ones_like(x),), {"params": zeros})
        return getattr(nn, self.transform)(run, energy, x)


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


def entry(module, *transforms, name="", inputs=(X,), **options):
    covers = tuple(f"transform.{transform}" for transform in transforms)
    return linen(module, *inputs, covers=covers, name=name, **options)


ENTRIES: tuple[Entry, ...] = (
    entry(ScansTime, "scan", inputs=(SEQUENCE,)),
    entry(ScansDepth, "scan"),
    entry(VmapsHeads, "vmap"),
    entry(RematsMethods, "remat"),
    entry(lambda: nn.checkpoint(nn.Dense)(3), "checkpoint", name="CheckpointedDense"),
    entry(lambda: nn.jit(nn.Dense)(3), "jit", name="JittedDense"),
    entry(lambda: nn.jit(nn.remat(nn.BatchNorm))(), "jit", "remat", name="JittedRematBatchNorm"),
    entry(lambda: nn.remat_scan(nn.Dense, lengths=(2, 2))(4), "remat_scan", name="RematScan"),
    entry(BinaryDense, "map_variables"),
    entry(WhileLoop, "while_loop"),
    entry(Cond, "cond"),
    entry(Switch, "switch"),
    entry(CustomVjp, "custom_vjp", "vjp"),
    entry(lambda: Differentiates("vjp"), "vjp", name="Vjp"),
    entry(lambda: Differentiates("jvp"), "jvp", name="Jvp"),
    entry(lambda: Differentiates("grad"), "grad", name="Grad"),
    entry(lambda: Differentiates("value_and_grad"), "value_and_grad", name="ValueAndGrad"),
    entry(AddsMetadataAxis, "add_metadata_axis"),
    entry(FoldsRngs, "fold_rngs"),
    entry(NamedCall, "named_call"),
)
