"""Wrote the files beside it, in the tree eea3585; what stands in `.npz` files is raw Flax's alone.

It is kept to show what they hold: a later tree would write other files.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import keras
import numpy as np
from cases import CASES, call_keys
from flax import serialization
from flax.training.train_state import TrainState
from leaves import flax_layers, leaves, variables_of
from optax import sgd
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
LONE = ("linen", "nnx_class", "given", "within")


def moved(leaf):
    """Another value of the same form: what is loaded is not what init makes."""
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.fold_in(leaf, 1)
    if leaf.dtype == bool:
        return jnp.logical_not(leaf)
    if jnp.issubdtype(leaf.dtype, jnp.integer):
        return leaf + leaf.dtype.type(1)
    return (leaf * 1.5 + 0.25).astype(leaf.dtype)


def stepped(case, variables, rngs):
    """All variables after one step of SGD, with a rate of one, towards zero."""

    def loss(trained):
        merged = {name: {**part, **trained[name]} for name, part in variables.items()}
        y, new = case.run(merged, case.inputs, rngs, True)
        errors = [jnp.square(leaf.astype(jnp.float32)).mean(-1) for leaf in jax.tree.leaves(y)]
        return sum(jnp.average(error, weights=case.counts) for error in errors), new

    trained = {
        name: part if name == "own" else {"params": part["params"]}
        for name, part in variables.items()
    }
    gradients, new = jax.grad(loss, has_aux=True)(trained)

    def step(path, leaf, gradient):
        name = "/".join(key.key for key in path)
        return leaf if name.startswith(case.held or "/") else leaf - gradient

    after = jax.tree_util.tree_map_with_path(step, trained, gradients)
    return {name: {**part, **after[name], **new.get(name, {})} for name, part in variables.items()}


def write(name, case):
    model = case.model()
    model(case.inputs) if name == "within" else None
    start = jax.tree.map(jnp.asarray, case.init())
    same(variables_of(model), start)
    value = jax.tree.map(moved, start)
    if case.more:
        value["net"] |= jax.tree.map(jnp.asarray, case.more)
    for layer in flax_layers(model):
        layer.load_flax_variables(value[layer.name])
        layer.seed_generator.state.assign(np.array([case.seed, 5], np.uint32))
        if hasattr(layer, "before"):
            layer.before.assign(value["own"]["before"])
            layer.after.assign(value["own"]["after"])
    if case.step:
        model.compile(keras.optimizers.SGD(1.0), "mse")
    model.save(HERE / f"{name}.keras")
    if name in LONE:
        model.save_weights(HERE / f"{name}.weights.h5")
    # Keras stores no state of a seed generator: draws begin anew.
    rngs = call_keys(np.array([case.seed, 0], np.uint32), case.draws)
    expected = {**leaves(start, "start/"), **leaves(value, "value/")}
    expected |= leaves(list(jax.tree.leaves(case.run(value, case.inputs, {}, False)[0])), "output/")
    trains = case.run(value, case.inputs, rngs, True)[0]
    expected |= leaves(list(jax.tree.leaves(trains)), "training/")
    if case.step:
        expected |= leaves(stepped(case, value, rngs), "stepped/")
    np.savez_compressed(HERE / f"{name}.npz", **expected)
    if name == "linen":
        write_checkpoints(value["net"])
    return json.loads(model.to_json())


def write_checkpoints(variables):
    (HERE / "variables.msgpack").write_bytes(serialization.to_bytes(variables))
    state = TrainState.create(apply_fn=None, params=variables, tx=sgd(0.1))
    (HERE / "state.msgpack").write_bytes(serialization.to_bytes(state))
    flat = {name.partition(":")[0]: array for name, array in leaves(variables).items()}
    save_file(flat, HERE / "variables.safetensors")


def same(ours, raw):
    ours, raw = leaves(ours), leaves(raw)
    assert ours.keys() == raw.keys(), (ours.keys(), raw.keys())
    for name in raw:
        np.testing.assert_array_equal(ours[name], raw[name], err_msg=name)


def main():
    configurations = {name: write(name, case) for name, case in CASES.items()}
    (HERE / "configurations.json").write_text(
        json.dumps(configurations, separators=(",", ":")) + "\n"
    )


if __name__ == "__main__":
    main()
