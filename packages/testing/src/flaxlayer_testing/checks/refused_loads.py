"""Checks of loads that are refused: as a whole, from a tree, a list or a file (§7, S6)."""

from __future__ import annotations

import pathlib
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import h5py
import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_core import FlaxLayerError
from flaxlayer_testing.checks.needs import MODEL, Need
from flaxlayer_testing.checks.refusals import Refusal, refuse_half_done
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.checks.weights import distinct
from flaxlayer_testing.subject.layer import variables_of
from flaxlayer_testing.subject.subject import Subject

__all__ = ["check_wrong_file", "check_wrong_state", "check_wrong_variables"]


@check("B4", "W2", needs=(Need.VARIABLES,))
def check_wrong_variables(subject: Subject) -> Errors:
    """Variables that do not fit in one place are refused, and none of the others is taken."""
    layer = subject.shared_layer()
    load, other = layer.load_flax_variables, distinct(variables_of(layer))
    unknown = {**other, "params": {**other.get("params", {}), "no_such_variable": np.ones(2)}}
    refused = refuse_half_done(layer, "an unknown variable", partial(load, unknown), "W2")
    leaves, treedef = jax.tree_util.tree_flatten(other)
    # The first and the last: what is taken before the one, or after the other, is seen.
    for place, name in ((0, "first"), (-1, "last")):
        spoilt = list(leaves)
        spoilt[place] = np.ones((*np.shape(leaves[place]), 7))
        act = partial(load, jax.tree_util.tree_unflatten(treedef, spoilt))
        refused = refuse_half_done(layer, f"a misshapen {name} variable", act, "W2")
    return largest(refused, _refuse_half_a_list(layer))


def _refuse_half_a_list(layer: Any) -> Errors:
    values = [np.asarray(value) for value in layer.get_weights()]
    # Keras's own words explain it.
    *rest, last = [np.where(value == 0, np.ones_like(value), ~(value != 0)) for value in values]
    act = partial(layer.set_weights, [*rest, np.ones((*last.shape, 7))])
    return refuse_half_done(layer, "a misshapen weight in a list", act, "W2", errors=ValueError)


@check("W3", "S6", needs=(*MODEL, Need.VARIABLES))
def check_wrong_file(subject: Subject) -> Errors:
    """A weights file that is damaged or does not fit is refused, and none of it is taken."""
    layer, other = subject.shared_layer(), subject.built_layer(seed=subject.seed + 1)
    other.load_flax_variables(distinct(variables_of(layer)))
    model = subject.model(layer)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.weights.h5"
        for what, spoil, errors in _DAMAGES:
            subject.model(other).save_weights(path)
            spoil(path)
            act = partial(model.load_weights, path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of what Keras does not find
                refused = refuse_half_done(
                    layer, f"a weights file {what}", act, "W3", errors=errors
                )
            path.unlink()
    return refused


def _variables_in(file: h5py.File) -> list[str]:
    """Returns the paths of the variables in a weights file, but those of seed generators."""
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if _is_variable(name, node) else None)
    return sorted(names)


def _is_variable(name: str, node: Any) -> bool:
    # Keras keeps the seed generator of a layer under the name of the attribute.
    return isinstance(node, h5py.Dataset) and "/vars/" in name and "seed_generator" not in name


def _misshape(path: pathlib.Path) -> None:
    with h5py.File(path, "r+") as file:
        name = _variables_in(file)[-1]
        value = file[name][()]
        del file[name]
        file[name] = np.stack([value, value])


def _remove(path: pathlib.Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[_variables_in(file)[-1]]


def _cut(path: pathlib.Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


# Keras gathers what its layers say into an error of its own.
_BY_KERAS = (FlaxLayerError, ValueError)
_DAMAGES: tuple[tuple[str, Callable[[pathlib.Path], None], Refusal], ...] = (
    ("with a misshapen variable", _misshape, _BY_KERAS),
    ("without a variable", _remove, _BY_KERAS),
    # Keras's own reading of an archive may fail in its own way.
    ("that is cut in the middle", _cut, Exception),
)


@check("C4", needs=(Need.STATE, Need.LINEN))
def check_wrong_state(subject: Subject) -> Errors:
    """State that a module hands back in another form is refused, and none of it is written."""
    layer, collection = subject.shared_layer(), min(subject.oracle.state_collections)

    def spoil(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        outputs = call(*args, **kwargs)
        if not context.module.path and context.method_name == "__call__":
            context.module.put_variable(collection, "surplus", jnp.ones(2))
        return outputs

    def act() -> None:
        with nn.intercept_methods(spoil):
            subject.call(layer, training=True)

    return refuse_half_done(layer, "state of another form", act, "C4")
