"""What a framework lacks follows from what it has no form of."""

from dataclasses import replace

import flax.linen as nn
import pytest

from flaxlayer_testing import FEATURES, LINEN_FEATURES, NNX_FEATURES
from flaxlayer_testing.generate.draw import offers
from flaxlayer_testing.generate.draw.offers import features_of, lacking_of
from flaxlayer_testing.spec.operations import OPERATIONS

OF_LINEN = {
    *("add_metadata_axis", "boxed_sum", "compact_name_scope", "cond", "conv_local", "custom_vjp"),
    *("fold_rngs", "guarded_average", "has_rng", "inference_trace", "inheritance", "lazy_state"),
    *("map_variables", "nowrap", "perturb", "recurrent_MGUCell", "recurrent_frames", "remat_scan"),
    *("scan_time", "share_scope", "sow_reducer", "switch", "training_trace", "while_loop"),
    "with_logical_partitioning",
}
"""What `flax.nnx` has no counterpart of, as its documentation has it."""


@pytest.fixture
def other_forms(monkeypatch):
    """Gives an operation other forms, and forgets what was derived."""

    def give(name, **forms):
        changed = replace(OPERATIONS[name], forms=forms)
        monkeypatch.setattr(offers, "OPERATIONS", {**OPERATIONS, name: changed})
        lacking_of.cache_clear()

    lacking_of.cache_clear()
    yield give
    lacking_of.cache_clear()


def test_nnx_lacks_what_linen_alone_has_and_the_other_way_round():
    assert lacking_of("nnx") == OF_LINEN
    old = set() if hasattr(nn, "fold_rngs") else {"fold_rngs"}
    assert lacking_of("linen") == {"supplied_rngs_argument", *old}


def test_the_features_of_a_framework_are_those_that_it_does_not_lack():
    for framework, public in (("linen", LINEN_FEATURES), ("nnx", NNX_FEATURES)):
        assert features_of(framework) == public
        assert set(public) | lacking_of(framework) == set(FEATURES)
        assert list(public) == [name for name in FEATURES if name in public]


def test_a_feature_is_lacking_once_no_operation_shows_it(other_forms):
    other_forms("einsum", linen=OPERATIONS["einsum"].forms["linen"])
    assert lacking_of("nnx") == {*OF_LINEN, "einsum"}
    # Others than the counter of training calls have state of their own, too.
    other_forms("count_steps", linen=OPERATIONS["count_steps"].forms["linen"])
    assert lacking_of("nnx") == {*OF_LINEN, "count_steps"}


def test_a_feature_of_an_option_is_lacking_with_the_option(other_forms):
    forms = OPERATIONS["recurrent"].forms
    both = replace(forms["nnx"], lacks=frozenset({"MGUCell", "GRUCell"}))
    other_forms("recurrent", linen=forms["linen"], nnx=both)
    assert lacking_of("nnx") == {*OF_LINEN, "recurrent_GRUCell"}
