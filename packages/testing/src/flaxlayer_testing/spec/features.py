"""Every feature that a generated module can show, with what it is.

What an operation, a transform or a parameter shows is said where that stands, and gathered here.
"""

from __future__ import annotations

from collections.abc import Mapping

from flaxlayer_testing.spec.extras import EXTRA_KINDS
from flaxlayer_testing.spec.operations import PARTS
from flaxlayer_testing.spec.operations.operation import Topic
from flaxlayer_testing.spec.transforms import TRANSFORMS

__all__ = ["FEATURES"]

_FORMS = {
    "default_argument": "an argument with a default, beside the training argument",
    "keyword_argument": "an argument by keyword only, beside the training argument",
}

_GRAPH = {
    "dict_output": "outputs in a dict",
    "tuple_output": "outputs in a tuple",
    "nested_output": "outputs in a dict with a list in it",
    "dataclass_output": "outputs in a dataclass",
    "dict_input": "inputs in a dict",
    "tuple_input": "inputs in a tuple",
    "dataclass_input": "inputs in a dataclass",
    "flag": "a training argument",
    "flag_default": "a training argument with a default",
    "flag_keyword_only": "a training argument that is keyword-only",
    "flag_negated": "a training argument whose name means inference",
    "half_input": "an input in half precision",
    "token_input": "an input of token ids",
    "mask_input": "an input that masks elements of another",
    "mask_argument": "an argument `mask`, as Keras hands it on",
    "several_inputs": "more than one input",
    "several_outputs": "more than one output",
    "setup": "submodules made in `setup`",
    "several_methods": "a method that another calls",
    "nested": "a generated module inside another",
    "tied_submodule": "one submodule called twice",
    "state_stream_flag": "state, an rng stream and a training argument in one module",
}


def _of_operations(topic: Topic) -> dict[str, str]:
    return {name: text for part in PARTS for name, text in part.features.get(topic, {}).items()}


_BY_TOPIC = (
    _GRAPH,
    _FORMS | {kind.feature: kind.about for kind in EXTRA_KINDS.values()},
    _of_operations("arrays"),
    _of_operations("layers"),
    _of_operations("sequences"),
    _of_operations("transforms") | {part.feature: part.about for part in TRANSFORMS.values()},
    _of_operations("variables"),
)

FEATURES: Mapping[str, str] = {
    name: text for topic in _BY_TOPIC for name, text in sorted(topic.items())
}
"""Every feature that a spec can show, with what it is."""
