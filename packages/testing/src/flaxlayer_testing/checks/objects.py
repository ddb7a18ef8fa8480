"""Checks of the object that a layer was given (§3)."""

from __future__ import annotations

from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import Errors, check
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.oracle.nnx_call import NnxCall
from flaxlayer_testing.subject.subject import Subject

__all__ = ["check_object_kept"]


@check("C3", needs=(Need.OWN_VALUES,))
def check_object_kept(subject: Subject) -> Errors:
    """The object that a layer was given keeps its values, streams and modes."""
    raw = subject.oracle.raw
    assert isinstance(raw, NnxCall)
    graph, values = raw.contents()
    layer = subject.built_layer()
    for training in (True, False):
        subject.call(layer, training=training)
    graph_after, values_after = raw.contents()
    if graph_after != graph:
        raise KeepLawError(
            "A layer changes the object that it was given.",
            expected=str(graph),
            found=str(graph_after),
            law="C3",
        )
    return compare_trees(values, values_after, bitwise=True, path="values of the given object")
