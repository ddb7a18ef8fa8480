"""Equal modules share a trace, and nothing that is found differs for it (B6, R1)."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxlayer_core import (
    ArraySpec,
    BuildModuleError,
    MethodSignature,
    ModuleCall,
    NnxModule,
    infer_build_spec,
    partition,
)
from flaxlayer_core.modules.nnx import shared_traces
from flaxlayer_core.modules.nnx.shared_traces import merging_repeats, sharing_traces
from packages.core.tests.modules.nnx.examples import as_list

pytestmark = [
    pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11"),
    pytest.mark.law("B6"),
]

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)
CALLS = []


class Counts(nnx.Variable):
    pass


class Block(nnx.Module):
    """A block that notes each time that it is traced."""

    def __init__(self, number=0, *, rngs):
        self.dense, self.number = nnx.Linear(3, 3, rngs=rngs), number
        self.norm, self.dropout = nnx.BatchNorm(3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.unused = nnx.Dropout(0.5, rngs=rngs)
        self.count, self.still = Counts(jnp.zeros((), jnp.int32)), Counts(jnp.ones(2))

    def __call__(self, x):
        CALLS.append(self.number)
        return self.run(x)

    def run(self, x):
        self.count[...] += 1
        return self.dropout(self.norm(self.dense(x)))


class Deep(nnx.Module):
    def __init__(self, block, depth, *numbers, rngs):
        numbers = numbers or (0,) * depth
        self.blocks = as_list([block(number, rngs=rngs) for number in numbers])

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Quiet(Block):
    def run(self, x):
        return self.dense(x)


class Sows(Block):
    def run(self, x):
        self.sow(nnx.Intermediate, "hidden", x)
        return x


class Renames(Block):
    def run(self, x):
        self.number += 1
        return x


class Typed(Block):
    def run(self, x):
        return x * self.number if isinstance(x, jax.Array) else x

    def __call__(self, x, scale=2):
        CALLS.append(self.number)
        return self.run(x) * scale


class Calls(Deep):
    """Calls its blocks in other ways."""

    def __call__(self, x):
        one, two, three, four = self.blocks
        return self.call(x, one, two, three, four)


class Pair(Block):
    def __call__(self, x, y, *, mode="sum", left=None):
        CALLS.append(self.number)
        if isinstance(left, list):
            left.append(x)
        if isinstance(left, np.ndarray):
            x = jnp.concatenate([x] * int(left.sum()))
        return self.run(x) if x is y else (y.sum() if mode == "sum" else y)


class Arguments(Calls):
    def call(self, x, one, two, three, four):
        y, sizes = x + 1, np.ones(2, int)
        outputs = [one(x, x), two(x, y), three(x, y, mode="all"), four(x, y, left=sizes)]
        for left in ([x + 2], [x + 3]):
            outputs += [one(x, y, left=left), *left]
        return outputs


class Replaces(Block):
    def __call__(self, x, box):
        CALLS.append(self.number)
        box[0] = box[0][:1]
        return self.run(x)


class Boxes(Calls):
    def call(self, x, *blocks):
        boxes = [[x + 1] for _ in blocks]
        return [block(x, box) for block, box in zip(blocks, boxes, strict=True)], boxes


class Static(Block):
    def __call__(self, x):
        CALLS.append(self.number)
        return x, 3


class Statics(Calls):
    def call(self, x, one, two, three, four):
        return [block(x)[1] * jnp.ones(block(x)[1]) for block in (one, two, three, four)]


class Outer(nnx.Module):
    """Blocks that read and change a variable of the module around them."""

    def __init__(self, *, rngs):
        self.total = Counts(jnp.zeros((2, 3)))
        self.blocks = as_list([Inner(self, rngs=rngs) for _ in range(4)])

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Inner(nnx.Module):
    def __init__(self, outer, *, rngs):
        self.total, self.dense = outer.total, nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        CALLS.append("inner")
        self.total[...] += x
        return self.dense(x) + self.total[...]


def find(module):
    """Builds a module, and returns what was found, and how many blocks were traced."""
    CALLS.clear()
    flax_module = NnxModule(module)
    method = MethodSignature.from_method(flax_module, None)
    arrays, structure = partition((X,), {})
    call = ModuleCall(flax_module, method, method, structure)
    specs = [ArraySpec(array.shape, array.dtype) for array in arrays]
    return infer_build_spec(call, specs)[0].spec, len(CALLS)


def described(spec):
    def plan(mode):
        forms = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), mode.output)
        updates = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), dict(mode.updates))
        return mode.streams, mode.denied, forms, updates

    return (
        list(map(str, spec.layout.specs)),
        spec.layout.roles,
        *map(plan, (spec.training, spec.inference)),
    )


def check(make, monkeypatch):
    """Compares what is found with what is found where nothing is shared."""
    shared, traced = find(make())
    with monkeypatch.context() as context:
        context.setattr(shared_traces, "_FEWEST", 10**9)
        alone, whole = find(make())
    assert described(shared) == described(alone)
    return traced, whole


def deep(block, depth=6, *numbers):
    return lambda: Deep(block, depth, *numbers, rngs=nnx.Rngs(params=0, dropout=1))


@pytest.mark.law("R1")
@pytest.mark.parametrize("block", [Block, Quiet])
def test_equal_blocks_are_traced_once(block, monkeypatch):
    traced, whole = check(deep(block), monkeypatch)
    assert whole == 6 * traced
    spec, _ = find(deep(block)())
    assert spec.training.streams == (("dropout",) if block is Block else ())
    assert spec.inference.streams == ()


def test_blocks_of_other_attributes_are_traced_apart(monkeypatch):
    traced, whole = check(deep(Typed, 6, 1, 2, 1, 2, 1, 2), monkeypatch)
    assert whole == 3 * traced


@pytest.mark.parametrize("block", [Sows, Static])
def test_blocks_that_do_more_than_compute_run_as_they_are(block, monkeypatch):
    make = deep(block) if block is Sows else lambda: Statics(Static, 4, rngs=nnx.Rngs(0, dropout=1))
    traced, whole = check(make, monkeypatch)
    assert whole <= traced < 2 * whole  # it is tried once


@pytest.mark.law("C2")
def test_a_block_that_changes_a_plain_attribute_is_refused():
    with pytest.raises(BuildModuleError, match="changes an attribute"):
        find(deep(Renames)())


@pytest.mark.parametrize(("module", "block"), [(Arguments, Pair), (Boxes, Replaces)])
def test_arguments_tell_calls_apart(module, block, monkeypatch):
    check(lambda: module(block, 4, rngs=nnx.Rngs(0, dropout=1)), monkeypatch)


def test_blocks_may_share_variables(monkeypatch):
    check(lambda: Outer(rngs=nnx.Rngs(0)), monkeypatch)


def test_what_a_module_raises_is_raised_and_nothing_stays():
    class Fails(Block):
        def run(self, x):
            raise ValueError("it fails")

    method, module = Fails.__call__, deep(Fails)()
    with (
        pytest.raises(ValueError, match="it fails"),
        merging_repeats(),
        sharing_traces(module.blocks),
    ):
        jax.eval_shape(lambda x: module(x), X)
    assert Fails.__call__ is method
    assert "__call__" not in vars(Fails)


def test_another_thread_calls_its_modules_as_they_are():
    block, results = Quiet(rngs=nnx.Rngs(0, dropout=1)), []
    expected = block(X)
    with merging_repeats(), sharing_traces([block] * 4):
        thread = threading.Thread(target=lambda: results.append(block(X)))
        thread.start()
        thread.join()
    np.testing.assert_array_equal(results[0], expected)


def test_nothing_is_shared_where_nobody_asks():
    method = Block.__call__
    with sharing_traces([Block(rngs=nnx.Rngs(0, dropout=1))] * 9):
        assert Block.__call__ is method
    with merging_repeats(), sharing_traces([Block(rngs=nnx.Rngs(0, dropout=1))] * 9):
        assert Block.__call__ is not method
    assert Block.__call__ is method
