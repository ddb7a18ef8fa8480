"""How far raw Flax, compiled by JAX, and the layer on this backend are from float64 (T4).

`KERAS_BACKEND=tensorflow python -m conformance.precision FILE` examines generated modules
that draw no random numbers and do not insist on float32, and writes the largest distances, by
quantity and by the coarsest dtype that takes part, in units of `flaxlayer_testing.TOLERANCES`. The
table of two compilers rests on them.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import Phase, given, seed, settings

from conformance.figures import provenance
from flaxlayer_testing import TOLERANCES, Subject, cases
from flaxlayer_testing.checks.learning import STEPS, layer_gradients, train_steps
from flaxlayer_testing.subject.layer import variables_of
from flaxlayer_testing.subject.training import raw_gradients, raw_steps, split_floats

__all__ = ["distances", "is_beyond_precision", "measure"]

MODULES, SEED = 24, 5


def widened(tree):
    """Returns a tree with its floating arrays in float64; under x64 alone."""

    def widen(leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        wide = np.complex128 if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else np.float64
        return np.asarray(leaf).astype(wide)

    return jax.tree_util.tree_map(widen, tree)


def distance(actual, exact, bound):
    """Returns the largest distance of two trees, element by element, in units of a tolerance."""
    worst = 0.0
    for left, right in zip(*map(jax.tree_util.tree_leaves, (actual, exact)), strict=True):
        if not jnp.issubdtype(left.dtype, jnp.inexact) or left.size == 0:
            continue
        wide = np.complex128 if left.dtype.kind == "c" else np.float64
        left, right = np.asarray(left).astype(wide), np.asarray(right).astype(wide)
        known = np.isfinite(left) & np.isfinite(right)
        units = np.abs(left - right)[known] / (bound.atol + bound.rtol * np.abs(right[known]))
        worst = max(worst, float(units.max(initial=0.0)))
    return worst


def by_raw(subject, variables, arrays):
    """Returns each quantity as raw Flax gives it, compiled for these arrays."""
    oracle = subject.oracle

    def call(training):
        return jax.jit(lambda v, a: oracle.function(training=training)(v, {}, a))

    outputs, updates = call(True)(variables, arrays)
    gradients = jax.jit(lambda v, a: raw_gradients(subject, v, {}, a)[0])(variables, arrays)
    return {
        "inference": call(False)(variables, arrays)[0],
        "outputs": outputs,
        "state": oracle.next_variables(variables, updates),
        "gradients": (gradients[0], split_floats(gradients[1])[0]),
        "steps": raw_steps(subject, variables, [{}] * STEPS),
    }


def by_layer(subject):
    """Returns each quantity as the layer gives it."""
    layer = subject.shared_layer()
    found = {"outputs": subject.call(layer, training=True), "state": variables_of(layer)}
    found["inference"] = subject.call(subject.shared_layer(), training=False)
    found["gradients"] = layer_gradients(subject, subject.shared_layer())
    train_steps(subject, subject.shared_layer())
    return {**found, "steps": variables_of(layer)}


def distances(subject):
    """Returns the dtype whose tolerance holds, and for each quantity the three distances.

    Args:
        subject: A module that draws no random numbers.

    Raises:
        TypeError: If it cannot run in float64, because it casts to float32 on the way.
    """
    computed = subject.oracle.computed_dtypes & set(TOLERANCES)
    coarsest = max(computed, key=lambda name: TOLERANCES[name].rtol)
    bound = TOLERANCES[coarsest]
    variables = variables_of(subject.shared_layer())
    with jax.enable_x64(True):
        args, kwargs = subject.oracle.raw.merge(widened(subject.arrays))
        wide = Subject(subject.module, args, kwargs)
        exact = by_raw(wide, widened(variables), wide.arrays)
    raw, found = by_raw(subject, variables, subject.arrays), by_layer(subject)
    return coarsest, {
        name: {
            "raw to float64": distance(raw[name], exact[name], bound),
            "layer to float64": distance(found[name], exact[name], bound),
            "layer to raw": distance(found[name], raw[name], bound),
        }
        for name in raw
    }


_QUANTITIES = {
    "check_inference": "inference",
    "check_training": "outputs",
    "check_state_training": "state",
    "check_gradients": "gradients",
}


def is_beyond_precision(subject, report):
    """Tells whether a module has no more digits than its failures take, in JAX itself.

    The normalisation of two rows is such a module. What raw Flax computes is then farther from
    float64 than the tolerance, and the layer must be no farther than twice that.
    """
    failed = [entry.check for entry in report.failures]
    if not learns_quietly(subject) or not set(failed) <= _QUANTITIES.keys():
        return False
    try:
        _, found = distances(subject)
    except TypeError:
        return False
    pairs = [found[_QUANTITIES[check]] for check in failed]
    return all(
        pair["raw to float64"] > 1 and pair["layer to float64"] <= 2 * pair["raw to float64"]
        for pair in pairs
    )


def measure(modules):
    """Returns the largest distances over generated modules, and how many there were by dtype."""
    counts, worst, seen = defaultdict(int), {}, set()

    @seed(SEED)
    @settings(max_examples=6 * modules, database=None, deadline=None, phases=[Phase.generate])
    @given(cases(max_nodes=6))
    def run(case):
        subject = Subject.from_case(case)
        if len(seen) == modules or case.spec in seen or not learns_quietly(subject):
            return
        try:
            coarsest, found = distances(subject)
        except TypeError:
            return
        seen.add(case.spec)
        counts[coarsest] += 1
        for quantity, pairs in found.items():
            for pair, units in pairs.items():
                key = (quantity, coarsest, pair)
                worst[key] = max(worst.get(key, 0.0), units)

    run()
    return dict(counts), worst


def learns_quietly(subject):
    """Tells whether a module has params, can be traced and draws no random numbers in training."""
    oracle = subject.oracle
    if not (oracle.traceable and any(map(oracle.stored.get, oracle.raw.trainable))):
        return False
    # A layer gives keys to a module that could do without them, too.
    return not subject.oracle.needs_rng(training=True)


def to_json(counts, worst):
    """Returns what was measured as JSON."""
    tree = defaultdict(lambda: defaultdict(dict))
    for (quantity, dtype, pair), units in sorted(worst.items()):
        tree[quantity][dtype][pair] = round(units, 3)
    data = {**provenance(), "modules": counts, "units of the tolerance": tree}
    return json.dumps(data, indent=1) + "\n"


if __name__ == "__main__":
    path, *number = sys.argv[1:]
    Path(path).write_text(to_json(*measure(*map(int, number or [MODULES]))), encoding="utf-8")
