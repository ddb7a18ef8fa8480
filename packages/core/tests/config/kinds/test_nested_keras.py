"""Objects of Keras inside a configuration (S2)."""

import flax.linen as nn
import pytest

from flaxlayer_core import DecodeModuleError, EncodeModuleError
from flaxlayer_core.config import (
    decode_value,
    encode_module,
    encode_value,
)

pytestmark = [pytest.mark.law("S1"), pytest.mark.usefixtures("own_world")]


class Holder(nn.Module):
    value: object


class Config:
    """As Keras asks of a class that it stores."""

    def __init__(self, width, act=None):
        self.width, self.act = width, act

    def get_config(self):
        return {"width": self.width, "act": self.act}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@pytest.mark.law("S2")
def test_no_object_is_made_that_a_configuration_names_in_the_way_of_keras():
    nested = {"class_name": "system", "module": "os", "config": {}, "registered_name": None}
    with pytest.raises(EncodeModuleError, match="stored objects of Keras"):
        encode_module(Holder(Config([nested])))
    known = {**nested, "registered_name": "mine>Config"}
    stored = encode_value(Config([known]), path="v", resolve={"mine>Config": Config}.get)
    with pytest.raises(DecodeModuleError, match="stored objects of Keras"):
        decode_value(stored, path="v")
    assert decode_value(stored, path="v", resolve={"mine>Config": Config}.get).width == [known]
