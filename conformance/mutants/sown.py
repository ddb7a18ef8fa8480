"""Sown values and losses (C7)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="C7", kind="sown")

PROGRAM = "flaxlayer/program.py"
RUNNER = "flaxlayer/calls/runner.py"
LOSS = "return sum(jnp.sum(leaf) for leaf in leaves[1:]) + jnp.sum(leaves[0]) if leaves else None"

enter(
    "The first of several losses counts twice",
    PROGRAM,
    LOSS,
    "return sum(jnp.sum(leaf) for leaf in leaves) + jnp.sum(leaves[0]) if leaves else None",
)
enter(
    "Only the first of several losses counts",
    PROGRAM,
    LOSS,
    "return jnp.sum(leaves[0]) if leaves else None",
)
enter(
    "The elements of a loss are averaged",
    PROGRAM,
    LOSS,
    "return sum(jnp.mean(leaf) for leaf in leaves[1:]) + jnp.mean(leaves[0]) if leaves else None",
)
enter(
    "Losses are added in eager calls alone",
    RUNNER,
    "if result.loss is not None:\n",
    "if result.loss is not None and clean:\n",
)
enter(
    "Losses of earlier eager calls stay on the layer",
    "flaxlayer/calls/eager_calls.py",
    "if not args or not cache.settled or hosted.losses:",
    "if not args or not cache.settled:",
)
enter(
    "A symbolic call returns no sown values",
    RUNNER,
    "return self.with_sown(jax.eval_shape(pure, values, seed, arrays))",
    "return jax.eval_shape(pure, values, seed, arrays).outputs",
)
enter(
    "All transient collections are returned where one is asked for",
    RUNNER,
    "sown = {name: result.transient[name] for name in names if name in result.transient}",
    "sown = dict(result.transient)",
)
enter(
    "Sown values of a call that sows nothing are those of the one before",
    RUNNER,
    "        if clean:\n            self.cache.sown = result.transient\n",
    "        if clean and result.transient:\n            self.cache.sown = result.transient\n",
)
enter(
    "What is returned is stored where its collection keeps its form",
    "flaxlayer/settings.py",
    "self.collections.with_transient(*self.return_sown, *self.losses)",
    "self.collections.with_transient(*self.losses)",
)
