"""What a layer is made of, and what it refuses when it is made (A3, §11)."""

import flax.linen as nn
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import (
    AcceptModuleError,
    InspectMethodError,
    MatchVariablesError,
)


@pytest.mark.parametrize(
    ("make", "found", "fix"),
    [
        (lambda: nn.Dense, "the class Dense", "Pass an instance: Dense(...)."),
        (lambda: 3, "int: 3", "Pass an instance of flax.linen.Module, or an nnx module."),
        (
            lambda: nn.Dense(2).bind({"params": {}}),
            "a bound module",
            "Pass the module that `Module.bind` was called on.",
        ),
    ],
)
def test_what_is_no_module_is_refused(make, found, fix):
    with pytest.raises(AcceptModuleError) as caught:
        FlaxLayer(make())
    lines = str(caught.value).splitlines()
    assert lines[0] == "FlaxLayer cannot take this as a module."
    assert lines[2:] == [f"Found: {found}", f"Fix: {fix}"]
    assert isinstance(caught.value, TypeError)


@pytest.mark.law("A3")
@pytest.mark.parametrize("name", ["nope", "init", "apply", "_private", "__init__", "kernel_init"])
def test_what_is_no_public_method_is_refused(name):
    with pytest.raises(InspectMethodError) as caught:
        FlaxLayer(nn.Dense(3), method=name)
    assert str(caught.value).splitlines() == [
        "Module Dense has no such public method.",
        "Expected: one of: __call__",
        f"Found: {name!r}",
        "Fix: Name a public method of the module, or pass a function f(module, ...).",
        "Law: A3",
    ]


def test_variables_that_are_no_tree_are_refused():
    with pytest.raises(MatchVariablesError, match="mapping of collections"):
        FlaxLayer(nn.Dense(3), variables=[1, 2])
