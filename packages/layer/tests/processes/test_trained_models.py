"""Training in several processes of two devices is that of one process (D1, D2)."""

import numpy as np
import pytest

from packages.layer.tests.needs import needs_layouts, with_processes
from packages.layer.tests.processes.running import ProcessesFailedError, run_processes
from packages.layer.tests.processes.trained_models import CASES, MODULES, dropped, trained

pytestmark = pytest.mark.jax_only("it is JAX that joins processes")

HERE = "packages.layer.tests.processes"
DIVIDED = {
    ("linen", "data"): [],
    ("linen", "model within"): ["body/kernel", "head/kernel"],
    ("linen", "model across"): ["body/kernel", "head/kernel"],
    ("nnx", "data"): [],
    ("nnx", "model across"): ["body/kernel", "head/kernel"],
}


@needs_layouts
@pytest.mark.law("D1")
@pytest.mark.law("D2")
@with_processes
def test_several_processes_train_as_one_does(count, close, same_bits):
    results = run_processes(f"{HERE}.trained_models:train_all", count=count)
    alone = {kind: trained(kind, None) for kind in MODULES}
    masks = dropped(None)
    for process, (found, dropouts) in enumerate(results):
        for case in CASES:
            actual, expected = dict(found[case]), dict(alone[case[0]])
            # Metadata of linen and the LayoutMap, in one mesh.
            assert actual.pop("divided") == DIVIDED[case], case
            expected.pop("divided")
            weights, own = dict(actual.pop("weights")), dict(expected.pop("weights"))
            seeds, own_seeds = (
                [values.pop(path) for path in list(values) if "seed" in path]
                for values in (weights, own)
            )
            same_bits(seeds, own_seeds)
            assert weights.keys() == own.keys()
            as_arrays = ({k: np.float32(v) for k, v in d.items()} for d in (actual, expected))
            close(*as_arrays)
            close(weights, own)
        for place, left in dropouts.items():
            assert left.tobytes() == masks.tobytes(), (process, place)
    assert 0 < np.count_nonzero(masks) < masks.size


def hang(process):
    import jax
    from jax.experimental import multihost_utils

    if process == jax.process_index():
        raise RuntimeError("one of them fails")
    multihost_utils.sync_global_devices("for ever")


@pytest.mark.slow
@pytest.mark.law("D1")
def test_a_process_that_fails_ends_the_other_which_waits_for_it():
    with pytest.raises(ProcessesFailedError, match="one of them fails"):
        run_processes(f"{HERE}.test_trained_models:hang", devices=1, process=1)
