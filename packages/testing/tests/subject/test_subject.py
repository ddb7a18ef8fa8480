"""Subjects of generated cases: the layer and raw Flax get the same arguments."""

import jax
import pytest
from flax import nnx

from flaxlayer_testing import Case, Extra, ModuleSpec, Node, Subject, ValueType, run_report
from flaxlayer_testing.run.programs import failing_program
from flaxlayer_testing.spec.extras import EXTRA_KINDS

needs_nnx = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")
FRAMEWORKS = ["linen", pytest.param("nnx", marks=needs_nnx)]
DENSE = Node("dense", (0,), (("features", 2), ("param_dtype", "float32"), ("use_bias", True)))
CHECKS = ("check_inference", "check_training", "check_fresh_keys", "check_build_values")


def subject_of(framework, *extras):
    spec = ModuleSpec((ValueType((3,)),), (DENSE,), (1,), extras=extras)
    kept = [extra for extra in extras if extra.kind.values]
    given = tuple((extra.name, extra.kind.values[-1]) for extra in kept)
    return Subject.from_case(Case(spec, 2, 5, framework=framework, given=given))


@pytest.mark.law("A1", "R5")
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    "form", [(False, False), (True, False), (False, True)], ids=["plain", "keyword", "default"]
)
def test_a_layer_passes_checks_of_every_extra_parameter(framework, form):
    names = [name for name, kind in EXTRA_KINDS.items() if framework == "nnx" or not kind.as_rngs]
    subject = subject_of(framework, *(Extra(name, *form) for name in names))
    report = run_report(subject, only=CHECKS)
    report.raise_for_failures()
    for name in CHECKS:
        if name != "check_build_values" or framework == "linen":
            exec(failing_program(subject, name), {"__name__": "program"})


@pytest.mark.law("R5")
def test_a_key_that_the_layer_does_not_give_is_seen():
    extra = Extra("noise_key")
    good = subject_of("linen", extra)
    other = jax.random.key(9)
    layer = good.built_layer()
    assert (good.call(layer, training=False) != layer(*good.inputs, noise_key=other)).any()
