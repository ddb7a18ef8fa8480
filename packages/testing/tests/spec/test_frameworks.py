"""What a framework lacks of what a spec uses."""

import pytest

from flaxlayer_testing import Extra, ModuleSpec, Node, ReadSpecError, ValueType
from flaxlayer_testing.spec.frameworks import is_of, require_of

X = ValueType((4, 2))
DENSE = Node("dense", (0,), (("features", 2), ("param_dtype", "float32"), ("use_bias", True)))
LOCAL = Node("conv_local", (0,), (("features", 2), ("kernel_size", (2,))))


def of(node, **parts):
    return ModuleSpec((X,), (node,), (1,), **parts)


def nested(node, **options):
    return of(Node("nested", (0,), tuple(options.items()), of(node)))


def recurrent(cell):
    options = (("cell", cell), ("features", 2), ("reverse", False))
    return of(Node("recurrent", (0,), options))


@pytest.mark.parametrize(
    "spec",
    [of(DENSE), nested(DENSE, transform="vmap"), recurrent("GRUCell")],
    ids=["operation", "transform", "option"],
)
def test_what_both_have_is_of_both(spec):
    assert is_of(spec, "linen")
    assert is_of(spec, "nnx")


@pytest.mark.parametrize(
    ("framework", "spec", "name"),
    [
        ("nnx", of(LOCAL), "conv_local"),
        ("nnx", nested(LOCAL), "conv_local"),
        ("nnx", nested(DENSE, transform="scan_time"), "scan_time"),
        ("nnx", recurrent("MGUCell"), "MGUCell"),
        ("linen", of(DENSE, extras=(Extra("rngs"),)), "rngs"),
    ],
    ids=["operation", "inside", "transform", "option", "parameter"],
)
def test_what_a_framework_lacks_is_named(framework, spec, name):
    other = {"linen": "nnx", "nnx": "linen"}[framework]
    assert is_of(spec, other)
    assert not is_of(spec, framework)
    with pytest.raises(ReadSpecError, match=f"{framework} has no such module") as caught:
        require_of(spec, framework)
    assert name in str(caught.value)
