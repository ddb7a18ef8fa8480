"""The features that generated modules of a framework can show, by what it has (T1)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache

from flaxlayer_testing.generate.draw.candidates import assignments
from flaxlayer_testing.generate.draw.interfaces import INPUT_TYPES, MASK
from flaxlayer_testing.spec.extras import EXTRA_KINDS
from flaxlayer_testing.spec.features import FEATURES
from flaxlayer_testing.spec.operations import OPERATIONS, PARTS
from flaxlayer_testing.spec.transforms import TRANSFORMS

__all__ = ["features_of", "lacking_of"]


def features_of(framework: str) -> tuple[str, ...]:
    """Returns the features that a generated module of a framework can show.

    Args:
        framework: `"linen"` or `"nnx"`.

    Returns:
        Names of features, in the order of `FEATURES`.

    Example:

    ```python
    >>> "conv_local" in features_of("linen"), "conv_local" in features_of("nnx")
    (True, False)

    ```
    """
    return tuple(name for name in FEATURES if name not in lacking_of(framework))


@lru_cache
def lacking_of(framework: str) -> frozenset[str]:
    """Returns the features that no generated module of a framework can show."""
    of_nodes = {name for part in PARTS for topic in part.features.values() for name in topic}
    shown = {name for operation in OPERATIONS for name in _shown(operation, framework)}
    transforms = {t.feature for t in TRANSFORMS.values() if framework not in t.forms}
    extras = {k.feature for k in EXTRA_KINDS.values() if k.only not in ("", framework)}
    return frozenset(of_nodes - shown | transforms | extras)


def _shown(name: str, framework: str) -> Iterator[str]:
    operation = OPERATIONS[name]
    form = operation.forms.get(framework)
    if form is None:
        return
    for types in itertools.product((*INPUT_TYPES, MASK), repeat=operation.arity):
        for options in map(dict, assignments(name, types, None, frozenset())):
            if form.has(options):
                yield from operation.traits(options).features
