"""Whatever goes wrong in a load is an error of ours that Keras passes on (S6)."""

import flax.linen as nn
import keras
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.saving.refusals import refusing, refusing_in_load
from flaxlayer_core import (
    AcceptModuleError,
    BuildModuleError,
    CallArgumentError,
    DecodeModuleError,
    FlaxLayerError,
)

pytestmark = pytest.mark.law("S6")


class OwnError(Exception):
    pass


@pytest.mark.parametrize(
    "error",
    [KeyError("a"), TypeError("no"), OwnError("a" * 10**6), RecursionError("deep"), MemoryError()],
    ids=lambda error: type(error).__name__,
)
def test_any_error_becomes_one_of_ours_with_its_words(error):
    with pytest.raises(DecodeModuleError) as caught, refusing("a layer"):
        raise error
    assert not isinstance(caught.value, TypeError)
    assert caught.value.__cause__ is error
    assert "a layer cannot be made of it" in caught.value.failed
    assert type(error).__name__ in caught.value.found
    assert str(error)[:10].strip("'") in caught.value.found
    assert len(str(caught.value)) < 5_000


def test_errors_of_ours_pass_unless_keras_would_hide_them():
    error = BuildModuleError("it", expected="a", found="b", fix="c", law="B1")
    with pytest.raises(BuildModuleError) as caught, refusing("a layer"):
        raise error
    assert caught.value is error
    kinds = [cls for cls in (AcceptModuleError, CallArgumentError) if issubclass(cls, TypeError)]
    assert kinds
    for kind in kinds:
        with pytest.raises(FlaxLayerError) as caught, refusing("a layer"):
            raise kind("it", expected="a", found="b", fix="c", law="A1")
        assert not isinstance(caught.value, TypeError)
        assert str(caught.value) == str(kind("it", expected="a", found="b", fix="c", law="A1"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_passes(error):
    with pytest.raises(error), refusing("a layer"):
        raise error


def test_what_succeeds_is_left_alone():
    with refusing("a layer"):
        found = 3
    assert found == 3


@keras.saving.register_keras_serializable("flaxlayer_tests")
class Fails(FlaxLayer):
    @refusing_in_load
    def build_from_config(self, config):
        """Fails."""
        raise OwnError("no")


def test_a_method_raises_its_own_error_outside_of_loads_and_one_of_ours_in_them(tmp_path):
    layer = Fails(nn.Dense(2), name="fails")
    assert layer.build_from_config.__doc__ == "Fails."
    with pytest.raises(OwnError):
        layer.build_from_config({})
    model = keras.Sequential([keras.Input((3,)), layer])
    model.save(tmp_path / "model.keras")
    with pytest.raises(DecodeModuleError, match="layer 'fails' cannot be made"):
        keras.models.load_model(tmp_path / "model.keras")
