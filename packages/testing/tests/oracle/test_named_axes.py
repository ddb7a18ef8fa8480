"""Raw Flax runs a module that names an axis, in one of the whole batch (A6)."""

import flax.linen as nn
import jax
import numpy as np

from flaxlayer_testing.oracle.linen_call import LinenCall


class NamesAnAxis(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.BatchNorm(use_running_average=not train, axis_name="batch")(x), "static"


def test_a_module_that_names_an_axis_is_run_in_one_of_the_whole_batch():
    x = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)
    call = LinenCall(NamesAnAxis(), (x,), {})
    variables = call.init({"params": jax.random.key(0)}, training=True)
    (found, static), updates = call.apply(
        variables, {}, [x], training=True, denied=frozenset({"params"})
    )
    whole = nn.BatchNorm(use_running_average=False)
    flat = {name: tree["BatchNorm_0"] for name, tree in variables.items()}
    expected, state = whole.apply(flat, x, mutable=["batch_stats"])
    assert static == "static"
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(
        updates["batch_stats"]["BatchNorm_0"]["mean"], state["batch_stats"]["mean"]
    )
