"""Bounds on a configuration, checked before anything is made (S3)."""

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer_core import DecodeModuleError
from flaxlayer_core.config import Limits, check_bounds, decode_value, encode_module


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_hostile_configuration_constructs_nothing_before_its_bounds_are_checked():
    made = []

    class Counted(nn.Module):
        def __post_init__(self):
            made.append(self)
            super().__post_init__()

    stored = encode_module(Counted())
    made.clear()
    with pytest.raises(DecodeModuleError):
        decode_value([stored["root"], nested(1_000)], path="value")
    assert made == []


def test_payloads_are_bounded_together():
    array = encode_module(nn.Sequential([np.zeros(600, np.int8)]))["root"]
    with pytest.raises(DecodeModuleError, match="1000 bytes"):
        decode_value([array, array], path="value", limits=Limits(payload_bytes=1000))
    decode_value(array, path="value", limits=Limits(payload_bytes=1000))


def test_a_payload_may_not_pass_for_one_under_another_key():
    with pytest.raises(DecodeModuleError, match="characters"):
        check_bounds({"items": "a" * 2000}, Limits(string=1000))
