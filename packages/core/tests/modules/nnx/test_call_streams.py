"""The keys of a call of an nnx module, and what it draws from them (R1, R2)."""

import jax
import pytest
from flax import nnx

from flaxlayer_core import (
    NnxModule,
)
from flaxlayer_core.modules.nnx.call_streams import CallStreams
from flaxlayer_core.modules.nnx.graph import rng_streams
from packages.core.tests.modules.nnx.examples import (
    Net,
    apply,
    init,
    make,
)

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


@pytest.mark.law("R1")
def test_the_record_tells_what_a_call_draws():
    module = NnxModule(make())
    variables, _ = init(module)
    for training, drawn in ((True, {"dropout"}), (False, set())):
        with module.record_streams() as record:
            apply(module, variables, training=training, rngs={"dropout": jax.random.key(0)})
        assert record.drawn == drawn


@pytest.mark.law("R2")
def test_two_layers_on_one_stream_draw_different_numbers():
    class Two(nnx.Module):
        def __init__(self, rngs):
            self.first, self.second = (nnx.Dropout(0.5, rngs=rngs) for _ in range(2))

        def __call__(self, x):
            return self.first(x), self.second(x)

    module = NnxModule(Two(nnx.Rngs(dropout=0)))
    y, _ = apply(module, {}, training=True, rngs={"dropout": jax.random.key(1)})
    assert (y[0] != y[1]).any()


@pytest.mark.law("R1")
def test_a_trace_asks_no_draw_where_it_lies(monkeypatch):
    # JAX would search the whole trace to say that a tracer lies nowhere.
    asked = []
    monkeypatch.setattr(jax.core.Tracer, "sharding", property(asked.append))

    def draw(seed):
        rngs = nnx.Rngs(dropout=jax.random.key(seed))
        streams = CallStreams(rng_streams(rngs), {})
        return rngs.dropout(), rngs.dropout(), streams.drawn == {"dropout"}

    *keys, drawn = jax.jit(draw)(3)
    assert drawn
    raw = nnx.Rngs(dropout=3)
    assert keys == [raw.dropout(), raw.dropout()]

    jax.eval_shape(lambda: init(NnxModule(lambda rngs: Net(4, rngs=rngs)))[0])
    assert not asked


@pytest.mark.law("R1")
def test_the_streams_of_a_module_stay_those_of_flax():
    class Copies(nnx.Module):
        def __init__(self, rngs):
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.rngs = rngs

        def __call__(self, x):
            y = self.dropout(x)
            self.dropout = nnx.clone(self.dropout)
            return y

    made = NnxModule(Copies)
    variables, keys = init(made)
    apply(made, variables, training=True, rngs=keys)
    bound = made.bind(variables)
    assert {type(stream.count) for stream in rng_streams(bound)} == {nnx.RngCount}
