"""The streams that a layer hands to a method note what it asks of them."""

import jax
import pytest
from flax import nnx

from flaxlayer_core.compat.private_linen import StreamRecord
from flaxlayer_core.modules.nnx.supplied_rngs import recording_supplied, supplied_rngs

pytestmark = pytest.mark.law("R5")


def asked(use, **keys):
    with recording_supplied(StreamRecord()) as record:
        rngs = supplied_rngs({name: jax.random.key(seed) for name, seed in keys.items()})
        use(rngs)
    return record


@pytest.mark.parametrize(
    "use", [lambda rngs: rngs.noise(), lambda rngs: rngs["noise"](), lambda rngs: rngs.noise.key]
)
@pytest.mark.law("R1")
def test_a_stream_that_is_missing_or_drawn_from_is_noted(use):
    record = asked(use, noise=0, dropout=1)
    assert record.drawn == {"noise"}
    with recording_supplied(StreamRecord()) as record, pytest.raises((AttributeError, KeyError)):
        use(supplied_rngs({}))
    assert record.missing == "noise"
    assert asked(use, default=0).replaced == {"noise"}


@pytest.mark.law("R1")
def test_questions_and_forks_are_noted():
    assert asked(lambda rngs: "noise" in rngs).asked == {"noise"}
    assert asked(lambda rngs: hasattr(rngs, "noise")).asked == {"noise"}
    assert asked(lambda rngs: hasattr(rngs, "shape")).asked == set()
    assert asked(lambda rngs: rngs(), default=0).drawn == {"default"}
    if hasattr(nnx.Rngs, "split"):
        with pytest.raises(AttributeError, match="noise"):
            asked(lambda rngs: rngs.fork().noise())
        assert asked(lambda rngs: rngs.split(2), noise=0).drawn == {"noise"}
