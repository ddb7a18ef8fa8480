"""Entries for the lifted transforms that branch, loop and differentiate."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from conformance.zoo.entry import Entry, transform

__all__ = ["ENTRIES"]


class WhileLoop(nn.Module):
    """A loop that carries state."""

    def setup(self):
        self.dense = nn.Dense(4)
        self.count = self.variable("counters", "count", lambda: jnp.zeros((), jnp.int32))

    def __call__(self, x):
        if self.is_initializing():
            return self.dense(x)
        last = self.count.value + 3

        def proceed(module, carry):
            return module.count.value < last

        def body(module, carry):
            module.count.value += 1
            return jnp.tanh(module.dense(carry))

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


ENTRIES: tuple[Entry, ...] = (
    transform(WhileLoop, "while_loop"),
    transform(Cond, "cond"),
    transform(Switch, "switch"),
    transform(CustomVjp, "custom_vjp", "vjp"),
    transform(lambda: Differentiates("vjp"), "vjp", name="Vjp"),
    transform(lambda: Differentiates("jvp"), "jvp", name="Jvp"),
    transform(lambda: Differentiates("grad"), "grad", name="Grad"),
    transform(lambda: Differentiates("value_and_grad"), "value_and_grad", name="ValueAndGrad"),
)
