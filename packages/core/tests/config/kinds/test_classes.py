"""Lifted classes that files ask for: each file its own, in memory that its size bounds (S2, S3)."""

import gc
import json
import tracemalloc

import flax.linen as nn
import pytest

from flaxlayer_core.config import decode_module, decode_value
from flaxlayer_core.config.definitions import closure_variables
from flaxlayer_core.config.kinds import classes as lifted_classes


def lifted(base, **arguments):
    return {
        "$type": "lifted",
        "transform": "checkpoint",
        "class": base,
        "methods": [["__call__", [[key, value] for key, value in arguments.items()]]],
    }


def module(cls, **fields):
    return {"$type": "module", "class": cls, "fields": [[k, v] for k, v in fields.items()]}


def chain(levels):
    cls = "flax.linen:Dense"
    for _ in range(levels):
        cls = lifted(cls, prevent_cse=False)
    return module(cls, features=3)


def made():
    gc.collect()
    return sum(map(len, list(lifted_classes._made.values())))


@pytest.mark.law("S2")
def test_a_reference_of_one_file_is_none_of_another():
    def stored(features):
        shared = module("flax.linen:Dense", features=features) | {"id": 0}
        cls = lifted("flax.linen:Dense", policy={"$type": "ref", "id": 0})
        return [shared, module(cls, features=2)]

    for features in (3, 7):
        shared, loaded = decode_value(stored(features), path="value")
        held = closure_variables(vars(type(loaded))["__call__"])["trafo_kwargs"]
        assert shared == nn.Dense(features)
        assert held["policy"] is shared or held["policy"] == shared


@pytest.mark.law("S2")
def test_a_name_that_stands_for_something_else_makes_another_class():
    node = {"$type": "lifted", "transform": "map_variables", "class": "flax.linen:Dense"}
    node["methods"] = [
        [
            "__call__",
            [["mapped_collections", "params"], ["map_in_fn", {"$type": "function", "name": "a>f"}]],
        ]
    ]

    def first(tree):
        return tree

    def second(tree):
        return dict(tree)

    kinds = []
    for function in (first, second, first):
        loaded = decode_value(module(node, features=2), path="value", resolve={"a>f": function}.get)
        held = closure_variables(vars(type(loaded))["__call__"])["trafo_kwargs"]
        assert held["map_in_fn"] is function
        kinds.append(loaded)
    assert type(kinds[0]) is not type(kinds[1])


@pytest.mark.law("S3")
def test_loading_twice_gives_one_class():
    config = {"$type": "flaxlayer.module", "version": 1, "root": chain(5)}
    first, second = (decode_module(json.loads(json.dumps(config))) for _ in range(2))
    assert type(first) is type(second)
    assert first == second


@pytest.mark.law("S3")
def test_what_is_kept_of_a_lifted_class_does_not_grow_with_its_arguments():
    text = {"$type": "tuple", "items": ["a" * 1_000_000]}
    node = module(lifted("flax.linen:Dense", policy=text), features=3)
    for _ in range(10):  # each within the arguments of the next
        node = module(lifted("flax.linen:Dense", policy=node), features=3)
    tracemalloc.start()
    loaded = decode_value(node, path="value")
    traces = tracemalloc.take_snapshot().traces
    tracemalloc.stop()
    assert isinstance(loaded, nn.Module)
    # A sum would also hold what the process itself keeps: its table of names may grow meanwhile.
    assert sum(trace.size >= 1_000_000 for trace in traces) < 3


@pytest.mark.law("S3")
def test_lifted_classes_go_with_the_modules_of_a_file():
    before = made()
    loaded = decode_value([chain(20) for _ in range(5)], path="value")
    assert made() == before + 20
    del loaded
    assert made() == before
