"""Modules of linen and of nnx, and what is neither."""

import functools

import pytest
from flax import nnx

from flaxlayer_core import (
    AcceptModuleError,
    LinenModule,
    NnxModule,
    wrap_module,
)
from flaxlayer_core.modules.nnx.nnx_factories import is_nnx_factory
from packages.core.tests.modules.nnx.examples import (
    Moded,
    Net,
)

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


def function_factory(width, *, rngs):
    return Net(width, rngs=rngs)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (nnx.Linear(1, 1, rngs=nnx.Rngs(0)), NnxModule),
        (functools.partial(nnx.Linear, 1, 1), NnxModule),
        (functools.partial(function_factory, 2), NnxModule),
        (Moded, NnxModule),
    ],
)
def test_nnx_modules_and_what_makes_them_are_wrapped(value, kind):
    assert type(wrap_module(value)) is kind


def test_linen_modules_are_wrapped_and_other_values_refused():
    import flax.linen as nn

    assert type(wrap_module(nn.Dense(1))) is LinenModule
    for value in (None, len, dict, nn.Dense, functools.partial(dict)):
        assert not is_nnx_factory(value)
        with pytest.raises(AcceptModuleError):
            wrap_module(value)
