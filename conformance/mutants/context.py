"""What changes a call, and is missing from the key of its compiled function (A6)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="A6", kind="context")

RUNNER = "flaxlayer/calls/runner.py"
JAX = "flaxlayer/backends/jax.py"
KEY = "return structure, training, dtype, context, prng_impl(), is_recomputed()"

enter(
    "Compiled calls go on with the key implementation that they began with",
    RUNNER,
    KEY,
    "return structure, training, dtype, context, is_recomputed()",
)
enter(
    "Compiled calls go on with the policy that they began with",
    RUNNER,
    KEY,
    "return structure, training, context, prng_impl(), is_recomputed()",
)
enter(
    "Compiled calls go on with the axis rules that they began with",
    RUNNER,
    KEY,
    "return structure, training, dtype, prng_impl(), is_recomputed()",
)
enter(
    "Axis rules count by their number alone",
    "flaxlayer_core/compat/private_linen.py",
    "return tuple(map(tuple, rules)) if rules else ()",
    "return (len(rules),) if rules else ()",
)
enter(
    "Compiled calls do not see a method interceptor",
    "flaxlayer_core/compat/private_linen.py",
    "    if interceptor_count():\n        return None\n",
    "",
)
enter(
    "Calls are compiled ahead for each form of arrays, whatever the matmul precision is later",
    JAX,
    "        return jax.jit(pure)\n",
    "        programs = {}\n\n"
    "        def run(values, seed, arrays):\n"
    "            leaves, tree = jax.tree_util.tree_flatten((values, seed, arrays))\n"
    "            forms = [jax.eval_shape(lambda leaf: leaf, leaf) for leaf in leaves]\n"
    "            form = str((tree, forms, [each.weak_type for each in forms]))\n"
    "            if form not in programs:\n"
    "                programs[form] = jax.jit(pure).lower(values, seed, arrays).compile()\n"
    "            return programs[form](values, seed, arrays)\n\n"
    "        return run\n",
)
enter(
    "Calls stay compiled under jax.disable_jit",
    JAX,
    "        return jax.jit(pure)\n",
    "        compiled = jax.jit(pure)\n\n"
    "        def run(values, seed, arrays):\n"
    "            with jax.disable_jit(False):\n"
    "                return compiled(values, seed, arrays)\n\n"
    "        return run\n",
)
enter(
    "The form of a symbolic call is kept for both modes",
    "flaxlayer/calls/symbolic_calls.py",
    "key = (structure, tuple(inputs), mode, runner.hosted.compute_dtype)",
    "key = (structure, tuple(inputs), runner.hosted.compute_dtype)",
)
