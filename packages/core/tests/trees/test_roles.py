"""Collections get their roles by name, by the policy, or by what calls do (C2)."""

import pytest

from flaxlayer_core import CallArgumentError, CollectionPolicy, decide_role


@pytest.mark.law("C2")
@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("params", "trainable"),
        ("batch_stats", None),
        ("intermediates", "transient"),
        ("perturbations", "transient"),
    ],
)
def test_flax_conventions_name_roles(name, role):
    assert CollectionPolicy().role(name) == role


@pytest.mark.law("C2")
def test_a_policy_names_roles_of_its_own():
    policy = CollectionPolicy(state=("losses",), transient=("cache",))
    assert (policy.role("losses"), policy.role("cache")) == ("state", "transient")


@pytest.mark.law("C2")
def test_a_stable_collection_is_state_and_another_transient():
    assert (decide_role(stable=True), decide_role(stable=False)) == ("state", "transient")


@pytest.mark.law("C2")
def test_params_may_be_state_and_another_collection_trainable():
    policy = CollectionPolicy(trainable=("lora",), state=("params",))
    assert (policy.role("params"), policy.role("lora")) == ("state", "trainable")


@pytest.mark.law("C2")
def test_adding_transient_collections_keeps_the_rest_of_a_policy():
    policy = CollectionPolicy(trainable=("lora",), state=("params",)).with_transient("a", "a")
    assert policy == CollectionPolicy(
        trainable=("lora",), state=("params",), transient=("intermediates", "perturbations", "a")
    )


@pytest.mark.law("C2")
def test_one_name_of_a_collection_is_not_its_characters():
    policy = CollectionPolicy(state="batch_stats", transient=["cache"])
    assert policy == CollectionPolicy(state=("batch_stats",), transient=("cache",))
    assert policy.role("batch") is None


@pytest.mark.law("C2")
@pytest.mark.parametrize("given", [None, 3, [3], {"cache": 1}], ids=["none", "int", "ints", "dict"])
def test_what_is_no_name_of_a_collection_is_refused(given):
    with pytest.raises(CallArgumentError, match="cannot use this state"):
        CollectionPolicy(state=given)
