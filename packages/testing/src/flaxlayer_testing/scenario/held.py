"""A layer in its surrounding, and what is asked of a module that is to stand there (A11, T9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import keras

from flaxlayer_testing.oracle.call import RawCall, is_array
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.subject.layer import arrays_of

__all__ = [
    "Held",
    "Site",
    "Surrounding",
    "gives_arrays",
    "mode_of",
    "of_one",
    "sizes_text",
    "takes_arrays",
    "takes_one",
]


@dataclass(frozen=True)
class Held:
    """A layer in its surrounding.

    Attributes:
        layer: The layer under test.
        model: What is called in its place.
        run: Calls it: `run(arguments, keyword arguments, training)`, on arrays of the backend.
        flat: Whether it gives a list of the arrays among the outputs, not their tree.
        varies: Whether arguments that are no arrays may be others in a later call.
        masks: The masks that the arrays among the outputs of the last call carried, where a mask
            stands before the layer.
    """

    layer: Any
    model: Any
    run: Callable[[tuple[Any, ...], Mapping[str, Any], bool | None], Any]
    flat: bool = True
    varies: bool = False
    masks: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Site:
    """What a surrounding is made for.

    Attributes:
        oracle: The module with its call.
        other: Positional arguments of other sizes, which are unknown to a symbolic call; those of
            the call where nothing but the batch is.
    """

    oracle: Oracle
    other: tuple[Any, ...] | None = None


def _itself(raw: RawCall) -> tuple[RawCall, ...]:
    return (raw,)


def _only(outputs: Sequence[Any]) -> Any:
    (one,) = outputs
    return one


@dataclass(frozen=True)
class Surrounding:
    """A place where a layer may stand.

    Attributes:
        put: Puts a layer there, for calls like a raw one.
        fits: Whether a module can stand there.
        parts: The calls of the module that a call of the surrounding makes, one after the other.
        joined: Makes of the outputs of those calls what the surrounding gives.
        losses_behind: How many layers behind it add the probe loss of its outputs.
        takes_sown: Whether a layer can stand there that returns sown values beside its outputs.
        of_graph: Whether the outputs there are for good those of a symbolic call, in inference.
        text: The lines of a program that put `layer` there, as `model` and `run`.
        part_texts: The texts of the positional arguments of each of the calls; empty for those of
            the surrounding.
        joined_text: The text of what `joined` makes of them, where there are several.
    """

    put: Callable[[Any, Site], Held]
    fits: Callable[[Oracle], bool]
    parts: Callable[[RawCall], tuple[RawCall, ...]] = _itself
    joined: Callable[[Sequence[Any]], Any] = _only
    losses_behind: int = 0
    takes_sown: bool = True
    of_graph: bool = False
    text: Callable[[Site], list[str]] | None = None
    part_texts: tuple[str, ...] = ("",)
    joined_text: str = ""


def mode_of(training: bool | None) -> dict[str, bool]:
    """Returns the keyword arguments that say a mode, none where the caller says none."""
    return {} if training is None else {"training": training}


def of_one(layer: Any, model: Any) -> Held:
    """Returns a layer in a model that takes one array."""
    return Held(layer, model, lambda a, k, t: arrays_of(model(a[0], **mode_of(t))))


def takes_arrays(oracle: Oracle) -> bool:
    """Tells whether a module that can be traced takes arrays, all of them with a batch."""
    arrays = oracle.raw.arrays
    return oracle.traceable and bool(arrays) and all(array.ndim > 0 for array in arrays)


def takes_one(oracle: Oracle) -> bool:
    """Tells whether a module takes one array and nothing else, and gives arrays alone."""
    raw = oracle.raw
    if not takes_arrays(oracle) or raw.arguments or len(raw.inputs) != 1:
        return False
    return hasattr(raw.inputs[0], "dtype") and all(
        leaf is True for leaf in keras.tree.flatten(oracle.array_outputs)
    )


def sizes_text(site: Site) -> str:
    """Returns the words that tell a model of a program which of its sizes are unknown.

    Args:
        site: What the model is made for.
    """
    raw = site.oracle.raw
    other = replace(raw, inputs=raw.inputs if site.other is None else site.other)
    pairs = enumerate(zip(raw.arrays, other.arrays, strict=True))
    unknown = [
        (number, axis)
        for number, (array, twin) in pairs
        for axis, sizes in enumerate(zip(array.shape, twin.shape, strict=True))
        if len(set(sizes)) > 1
    ]
    words = ["" if site.oracle.takes_any_batch else ", any_batch=False"]
    return "".join([*words, f", unknown={unknown}" if unknown else ""])


def gives_arrays(oracle: Oracle) -> bool:
    """Tells whether a layer of a user's own gets what Keras's layers take.

    Positional arguments that are arrays, and no keys; keyword arguments, which a `call` that hands
    them on takes together, that are all arrays or none.
    """
    keys = (jnp.issubdtype(array.dtype, jax.dtypes.prng_key) for array in oracle.raw.arrays)
    named = set(map(is_array, keras.tree.flatten(dict(oracle.raw.arguments))))
    plain = all(map(is_array, keras.tree.flatten(oracle.raw.inputs)))
    return plain and len(named) < 2 and not any(keys)
