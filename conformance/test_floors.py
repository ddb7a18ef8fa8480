"""Each check runs on its share of generated modules: a skip is the exception (T2)."""

import pytest
from flax import nnx

from conformance.floors import FLOOR, applied, asked_too_much
from flaxlayer_testing import checks
from flaxlayer_testing.checks import Need

pytestmark = pytest.mark.slow

of_nnx = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


@pytest.mark.law("T2")
@pytest.mark.parametrize(
    "framework", ["linen", pytest.param("nnx", marks=of_nnx)], ids=["linen", "nnx"]
)
def test_each_check_runs_on_its_share_of_generated_modules(framework, record_property):
    shares = applied(framework, 60)
    record_property("shares", {name: round(share, 3) for name, share in shares.items()})
    assert asked_too_much(shares) == {}


@pytest.mark.law("T2")
def test_a_need_that_no_module_meets_is_below_the_floor(monkeypatch):
    monkeypatch.setattr(Need.STATE, "holds", lambda subject: False)
    found = asked_too_much(applied("linen", 3))
    assert {check.name for check in checks() if Need.STATE in check.needs} <= set(found)
    assert all(share < FLOOR for share in found.values())
