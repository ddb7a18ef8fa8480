"""What there is to say of a layer: its module, its inputs, its streams, and its variables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import keras

from flaxlayer.calls.runner import Runner
from flaxlayer.hosted import HostedModule
from flaxlayer.inputs import arrays_of, by_place
from flaxlayer.summaries.variable_rows import Mark, VariableEntry
from flaxlayer.weights.sharding import divided_along
from flaxlayer.weights.variables import FlaxWeights, trains
from flaxlayer_core import (
    ArraySpec,
    ModuleSpec,
    Role,
    VariableSpec,
    drop_symbols,
    list_some,
)

__all__ = ["LayerSummary", "summarize_layer"]

# A line of a summary is read by people: a module may have hundreds of inputs, streams or patterns.
_in_a_line: Callable[[Iterable[str]], str] = partial(list_some, separator=", ", most=8, longest=80)


@dataclass(frozen=True)
class LayerSummary:
    """A layer, as its summary shows it.

    Attributes:
        title: Its class and its name.
        facts: What is said of it beside its variables, by what is said.
        entries: Its variables.
        built: Whether it has any yet.
    """

    title: str
    facts: dict[str, str]
    entries: tuple[VariableEntry, ...]
    built: bool

    def totals(self) -> dict[Mark, tuple[int, int]]:
        """Returns how many elements and bytes there are of each mark, and in all."""
        counts: Counter[Mark] = Counter()
        sizes: Counter[Mark] = Counter()
        for entry in self.entries:
            for mark in ("total", entry.mark):
                counts[mark] += entry.count
                sizes[mark] += entry.size
        return {mark: (counts[mark], sizes[mark]) for mark in counts}


def summarize_layer(runner: Runner) -> LayerSummary:
    """Describes a layer, built or not; no value is read, and nothing is drawn.

    Args:
        runner: What runs its method.
    """
    layer, hosted = runner.layer, runner.hosted
    title = _in_a_line([f"{type(layer).__name__} {layer.name!r}"])
    facts = {
        "runs": _in_a_line([runner.method.title]),
        "arguments": _in_a_line(runner.method.signature.parameters),
        "inputs": _inputs(runner),
        "training flag": _in_a_line(
            f"not {name}" if negated else name
            for name, negated in (*runner.method.flags, *filter(None, [runner.method.attribute]))
        ),
        **_found(runner),
        "computes in": hosted.compute_dtype or "",
        "state updates": _unless(hosted.settings.state_updates, "always"),
        "to be frozen": _in_a_line(
            pattern if freeze else f"not {pattern}" for freeze, pattern in hosted.frozen.pending
        ),
    }
    weights = hosted.weights
    entries = [] if weights is None else _module_entries(hosted, weights)
    own = _own_entries(layer, [] if weights is None else weights.variables)
    known = {name: text for name, text in facts.items() if text}
    return LayerSummary(title, known, (*entries, *own), built=weights is not None)


def _unless(text: str, usual: str) -> str:
    return "" if text == usual else text


def _inputs(runner: Runner) -> str:
    inputs = runner.cache.inputs
    if inputs is None:
        return ""
    places = by_place(inputs.specs, inputs.specs, inputs.structure, runner.method)
    return _in_a_line(f"{place}: {spec}" for place, spec in places.items()) or "no arrays"


def _found(runner: Runner) -> dict[str, str]:
    """Says what abstract evaluation found: outputs, streams, and what is not stored."""
    hosted = runner.hosted
    found = runner.cache.latest
    if runner.method is hosted.method and hosted.build_spec is not None:
        found = hosted.build_spec.spec
    if found is None:
        return {}
    transient = {"not stored": _in_a_line(sorted(found.layout.transient))}
    if not found.applied:
        return transient
    shown = found.inference if found.inference.applied else found.training
    outputs = arrays_of(shown.output)
    described = [str(ArraySpec(drop_symbols(leaf.shape), leaf.dtype)) for leaf in outputs]
    return {
        "outputs": _in_a_line(described) or "no arrays",
        "rng streams": _streams(found),
        **transient,
    }


def _streams(found: ModuleSpec) -> str:
    streams = {
        "init": found.init_streams,
        "training": found.training.streams,
        "inference": found.inference.streams,
    }
    said = [f"{_in_a_line(names)} ({when})" for when, names in streams.items() if names]
    return "; ".join(said) or "none"


def _module_entries(hosted: HostedModule, weights: FlaxWeights) -> list[VariableEntry]:
    layout = weights.layout
    divided = divided_along(weights.variables) if weights.devices else {}
    entries = [
        _entry(
            spec,
            # On torch Keras keeps unsigned integers in signed ones.
            spec.dtype.name if spec.dtype.kind == "u" else str(variable.dtype),
            _mark(spec, hosted, weights),
            divided.get(index, ()),
        )
        for index, (spec, variable) in enumerate(zip(layout.specs, weights.variables, strict=True))
    ]
    return sorted(entries, key=lambda entry: layout.role(entry.path[0]) is not Role.TRAINABLE)


def _mark(spec: VariableSpec, hosted: HostedModule, weights: FlaxWeights) -> Mark:
    if spec.path in hosted.frozen.paths or not hosted.layer.trainable:
        return "frozen"  # C5
    if weights.layout.role(spec.path[0]) is Role.STATE:
        return "state"
    return "trainable" if trains(spec, weights.layout) else "constant"


def _entry(
    spec: VariableSpec, dtype: str, mark: Mark, axes: tuple[object, ...] = ()
) -> VariableEntry:
    count = math.prod(spec.shape)
    size = count * jnp.dtype(dtype).itemsize
    shape = spec.shape
    if spec.key_impl is not None:
        key = jax.eval_shape(spec.restore, jax.ShapeDtypeStruct(spec.shape, spec.dtype))
        shape, dtype = key.shape, str(key.dtype)
    return VariableEntry(spec.path, shape, dtype, count, size, mark, axes)


def _own_entries(layer: keras.layers.Layer, known: Sequence[keras.Variable]) -> list[VariableEntry]:
    """Describes what a subclass added (W5)."""
    of_module = set(map(id, known))
    added = [variable for variable in layer.weights if id(variable) not in of_module]
    entries = [_own_entry(layer, variable) for variable in added]
    return sorted(entries, key=lambda entry: entry.path)


def _own_entry(layer: keras.layers.Layer, variable: keras.Variable) -> VariableEntry:
    path = variable.path.removeprefix(f"{layer.path}/")
    spec = VariableSpec(("added", *path.split("/")), tuple(variable.shape), variable.dtype)
    fixed = "state" if layer.trainable else "frozen"
    return _entry(spec, variable.dtype, "trainable" if variable.trainable else fixed)
