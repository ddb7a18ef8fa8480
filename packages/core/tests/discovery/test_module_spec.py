"""What abstract evaluation finds in a module: roles, mutability, outputs (B1, B2, C2, C3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import errors as flax_errors
from flax.core import DenyList

from flaxlayer_core import (
    BuildModuleError,
    CollectionPolicy,
    Static,
    fill_missing,
    infer_call_spec,
    infer_module_spec,
    same_structure,
)

X = jax.ShapeDtypeStruct((2, 4), jnp.float32)
ONES = jnp.ones((2, 4))


class Norm(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.BatchNorm(use_running_average=not train)(x)


class MutableNorm(nn.Module):
    """Takes what it may change for the training flag."""

    @nn.compact
    def __call__(self, x):
        training = self.is_mutable_collection("batch_stats")
        return nn.BatchNorm(use_running_average=not training)(x)


class Counter(nn.Module):
    """Counts its calls in any mode."""

    collection: str = "counter"
    start: object = 0.0

    @nn.compact
    def __call__(self, x):
        count = self.variable(self.collection, "n", lambda: self.start)
        count.value = count.value + 1
        return x + count.value


class NormAndCounter(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return Counter()(Norm()(x, train))


class Sows(nn.Module):
    collection: str = "losses"

    @nn.compact
    def __call__(self, x):
        self.sow(self.collection, "l2", (x**2).sum())
        return nn.Dense(4)(x)


class SowsLast(nn.Module):
    """Keeps the last value only."""

    @nn.compact
    def __call__(self, x):
        last = {"init_fn": lambda: jnp.zeros(()), "reduce_fn": lambda old, new: new}
        self.sow("last", "mean", x.mean(), **last)
        return x


class SowsAtInference(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        if not train:
            self.sow("features", "x", x)
        return x


class Grows(nn.Module):
    @nn.compact
    def __call__(self, x):
        history = self.variable("history", "h", lambda: jnp.zeros(0))
        history.value = jnp.concatenate([history.value, x.mean()[None]])
        return x


class ChangesDtype(nn.Module):
    """Toggles its variable between two dtypes."""

    @nn.compact
    def __call__(self, x):
        v = self.variable("toggle", "v", lambda: jnp.zeros((), jnp.float32))
        v.value = v.value.astype("float16" if v.value.dtype == "float32" else "float32")
        return x


class Perturbed(nn.Module):
    @nn.compact
    def __call__(self, x):
        return self.perturb("h", nn.Dense(4)(x))


class Cached(nn.Module):
    """Decodes one step at a time behind a cache that init makes for the whole sequence."""

    @nn.compact
    def __call__(self, x):
        return nn.MultiHeadDotProductAttention(2, decode=True)(x)


class InferenceOnly(nn.Module):
    """Has a head and a cache that training never sees."""

    @nn.compact
    def __call__(self, x, train):
        if not train:
            x = nn.Dense(3, name="head")(x)
            cache = self.variable("cache", "last", lambda: jnp.zeros((3,)))
            cache.value = x.mean(0)
        return nn.Dense(4, name=f"body_{train}")(x)


class LateState(nn.Module):
    """Makes its state when it is applied, never at init."""

    @nn.compact
    def __call__(self, x):
        if not self.is_initializing():
            self.variable("late", "n", lambda: jnp.zeros(())).value += 1
        return x


class Insists(nn.Module):
    """Refuses in its own words to run where it may not change its cache."""

    @nn.compact
    def __call__(self, x):
        cache = self.variable("cache", "n", lambda: jnp.zeros(()))
        if not self.is_mutable_collection("cache"):
            raise ValueError("run me with a mutable cache")
        cache.value += 1
        return x


class WritesParams(nn.Module):
    @nn.compact
    def __call__(self, x):
        self.param("w", nn.initializers.zeros, ())
        if not self.is_initializing():
            self.put_variable("params", "w", jnp.ones(()))
        return x


class Branches(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = Counter(start=0)(x)
        return nn.Dense(2)(x) if x.sum() > 0 else -nn.Dense(2)(x)


class Returns(nn.Module):
    value: object = None

    @nn.compact
    def __call__(self, x):
        return {"x": x, "value": self.value}


class Spectral(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.SpectralNorm(nn.Dense(4))(x, update_stats=train)


class WeightNormed(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.WeightNorm(nn.Dense(4))(x)


class Tied(nn.Module):
    def setup(self):
        self.embed = nn.Embed(7, 4)

    def __call__(self, tokens):
        return self.embed.attend(self.embed(tokens))


class Block(nn.Module):
    train: bool

    @nn.compact
    def __call__(self, x, _):
        return nn.BatchNorm(use_running_average=not self.train)(nn.Dense(4)(x)), None


class Lifted(nn.Module):
    transform: str

    @nn.compact
    def __call__(self, x, train):
        axes = {"params": 0, "batch_stats": 0}
        split = {"params": True}
        body = {
            "scan": lambda: nn.scan(Block, variable_axes=axes, split_rngs=split, length=3),
            "vmap": lambda: nn.vmap(
                Block, in_axes=(None, None), variable_axes=axes, split_rngs=split, axis_size=3
            ),
            "remat": lambda: nn.remat(Block),
            "jit": lambda: nn.jit(Block),
        }[self.transform]()
        return body(train)(x, None)[0]


def roles(found):
    return {name: str(role) for name, role in found.layout.roles}


def raw_flag(module, training):
    """The training flag as raw Flax is given it."""
    takes = isinstance(module, Norm | NormAndCounter | Spectral)
    return {"train": training} if takes else {}


def raw_updates(module, variables, *args, denied=("params",), **kwargs):
    """What raw apply returns, abstract."""

    def apply(variables, *args):
        return module.apply(variables, *args, mutable=DenyList(denied), **kwargs)

    return jax.eval_shape(apply, variables, *args)[1]


@pytest.mark.law("C2")
def test_running_statistics_are_state(examined):
    assert roles(examined(Norm(), X)) == {"params": "trainable", "batch_stats": "state"}


@pytest.mark.law("C2")
def test_a_sown_tuple_that_grows_is_transient(examined):
    assert roles(examined(Sows(), X)) == {"params": "trainable", "losses": "transient"}


@pytest.mark.law("C2")
def test_sown_intermediates_are_transient(examined):
    assert roles(examined(Sows("intermediates"), X))["intermediates"] == "transient"


@pytest.mark.law("C2")
def test_a_transient_collection_is_not_stored(examined):
    found = examined(Sows(), X)
    assert {path[0] for path in found.layout.paths} == {"params"}


@pytest.mark.law("C2")
@pytest.mark.parametrize("training", [True, False])
def test_what_init_sowed_is_not_fed_to_a_call(examined, training):
    plan = examined(Sows(), X).plan(training)
    params = {"params": Sows().init(jax.random.key(0), ONES)["params"]}
    assert same_structure(plan.updates, raw_updates(Sows(), params, X))


@pytest.mark.law("C2")
def test_a_sown_value_that_replaces_the_last_one_is_state(examined):
    assert roles(examined(SowsLast(), X)) == {"last": "state"}


@pytest.mark.law("C2")
def test_a_collection_that_only_inference_sows_is_transient(examined):
    found = examined(SowsAtInference(), X)
    assert roles(found) == {"features": "transient"}
    assert set(found.inference.updates) == {"features"}


@pytest.mark.law("C2")
@pytest.mark.parametrize(
    ("module", "name"), [(Grows(), "history"), (ChangesDtype(), "toggle")], ids=["shape", "dtype"]
)
def test_a_collection_that_changes_when_it_is_fed_back_is_transient(examined, module, name):
    assert roles(examined(module, X))[name] == "transient"


@pytest.mark.law("C2")
def test_perturbations_are_transient(examined):
    assert roles(examined(Perturbed(), X))["perturbations"] == "transient"


@pytest.mark.law("C2")
def test_a_decoding_cache_is_state(examined):
    step = jax.ShapeDtypeStruct((2, 1, 4), jnp.float32)
    assert roles(examined(Cached(), step)) == {"params": "trainable", "cache": "state"}


@pytest.mark.law("C2")
def test_a_policy_makes_state_transient(examined):
    found = examined(Counter(), X, policy=CollectionPolicy(transient=("counter",)))
    assert roles(found) == {"counter": "transient"}
    assert found.layout.specs == ()


@pytest.mark.law("C2")
def test_a_policy_makes_state_trainable(examined):
    policy = CollectionPolicy(trainable=("params", "batch_stats"))
    found = examined(Norm(), X, policy=policy, kwargs={"train": False})
    assert roles(found) == {"params": "trainable", "batch_stats": "trainable"}
    assert set(found.training.denied) == {"params", "batch_stats"}


@pytest.mark.law("C2")
def test_a_policy_makes_params_state(examined):
    found = examined(Sows(), X, policy=CollectionPolicy(trainable=(), state=("params",)))
    assert roles(found)["params"] == "state"
    assert "params" not in found.training.denied


@pytest.mark.law("C2")
def test_a_growing_collection_that_a_policy_calls_state_is_an_error(examined):
    with pytest.raises(BuildModuleError, match="losses"):
        examined(Sows(), X, policy=CollectionPolicy(state=("losses",)))


@pytest.mark.law("C2")
@pytest.mark.parametrize("transform", ["scan", "vmap", "remat", "jit"])
def test_roles_are_found_through_a_lifted_transform(examined, transform):
    found = examined(Lifted(transform), X)
    assert roles(found) == {"params": "trainable", "batch_stats": "state"}
    assert found.inference.denied == ("batch_stats", "params")


@pytest.mark.law("C3")
@pytest.mark.parametrize(
    "module", [Norm(), Counter(), Sows(), nn.Dense(2)], ids=lambda module: type(module).__name__
)
def test_training_may_change_all_but_params(examined, module):
    assert examined(module, X).training.denied == ("params",)


@pytest.mark.law("C3")
def test_statistics_that_inference_leaves_alone_are_denied_to_it(examined):
    assert examined(Norm(), X).inference.denied == ("batch_stats", "params")


@pytest.mark.law("C3")
def test_a_module_that_asks_what_it_may_change_is_answered_by_mode(examined):
    found = examined(MutableNorm(), X)
    assert found.training.denied == ("params",)
    assert found.inference.denied == ("batch_stats", "params")


@pytest.mark.law("C3")
def test_the_plans_make_raw_apply_train_and_infer_as_its_author_meant(examined):
    module, x = MutableNorm(), jnp.arange(8.0).reshape(2, 4)
    found, variables = examined(module, X), module.init(jax.random.key(0), x)
    trained, _ = module.apply(variables, x, mutable=found.training.mutable)
    inferred, _ = module.apply(variables, x, mutable=found.inference.mutable)
    normed = (x - x.mean(0)) / jnp.sqrt(x.var(0) + 1e-5)
    assert jnp.allclose(trained, normed, atol=1e-5)
    assert jnp.allclose(inferred, x / jnp.sqrt(1 + 1e-5), atol=1e-5)


@pytest.mark.law("C3")
def test_a_counter_of_both_modes_stays_mutable(examined):
    assert examined(Counter(), X).inference.denied == ("params",)


@pytest.mark.law("C3")
def test_each_collection_is_denied_by_itself(examined):
    found = examined(NormAndCounter(), X)
    assert roles(found) == {"params": "trainable", "batch_stats": "state", "counter": "state"}
    assert found.inference.denied == ("batch_stats", "params")


@pytest.mark.law("C3")
def test_spectral_norm_is_quiet_at_inference(examined):
    assert examined(Spectral(), X).inference.denied == ("batch_stats", "params")


@pytest.mark.law("C3")
def test_a_decoding_cache_stays_mutable_at_inference(examined):
    step = jax.ShapeDtypeStruct((2, 1, 4), jnp.float32)
    assert examined(Cached(), step).inference.denied == ("params",)


@pytest.mark.law("C3")
def test_a_module_that_insists_on_its_cache_keeps_it_mutable(examined):
    assert examined(Insists(), X).inference.denied == ("params",)


@pytest.mark.law("C3")
def test_a_transient_collection_is_never_denied(examined):
    assert "losses" not in examined(Sows(), X).inference.denied


@pytest.mark.law("C3")
def test_a_module_that_writes_params_in_a_call_is_an_error(examined):
    with pytest.raises(BuildModuleError, match=flax_errors.ModifyScopeVariableError.__name__):
        examined(WritesParams(), X)


@pytest.mark.law("B1")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "module",
    [Norm(), MutableNorm(), NormAndCounter(), Sows(), SowsLast(), nn.Dense(3)],
    ids=lambda module: type(module).__name__,
)
def test_outputs_and_updates_are_those_of_raw_apply(examined, module, training):
    found = examined(module, X)
    plan = found.plan(training)

    def apply(variables, x):
        return module.apply(variables, x, mutable=plan.mutable, **raw_flag(module, training))

    raw = jax.eval_shape(apply, found.variables, X)
    assert same_structure((plan.output, dict(plan.updates)), (raw[0], dict(raw[1])))


@pytest.mark.law("B1")
@pytest.mark.parametrize(
    ("module", "args"),
    [
        (Norm(), (X,)),
        (nn.Dense(3), (X,)),
        (WeightNormed(), (X,)),
        (Spectral(), (X,)),
        (Tied(), (jax.ShapeDtypeStruct((2, 3), jnp.int32),)),
        (nn.RNN(nn.LSTMCell(3)), (jax.ShapeDtypeStruct((2, 3, 4), jnp.float32),)),
        (nn.MultiHeadDotProductAttention(2), (jax.ShapeDtypeStruct((2, 3, 4), jnp.float32),)),
        (nn.Sequential([nn.Dense(3), nn.relu, nn.Dense(2)]), (X,)),
        (Returns("a name"), (X,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_stored_variables_are_those_of_raw_init(examined, module, args):
    flag = raw_flag(module, True)
    raw = jax.eval_shape(lambda *a: module.init(jax.random.key(0), *a, **flag), *args)
    assert same_structure(dict(examined(module, *args).variables), dict(raw))


@pytest.mark.law("C1")
@pytest.mark.parametrize("box", [nn.with_partitioning, nn.with_logical_partitioning])
def test_boxes_stay_in_the_structure_and_out_of_the_paths(examined, box):
    found = examined(nn.Dense(3, kernel_init=box(nn.initializers.ones, ("a", "b"))), X)
    assert found.layout.paths == [("params", "bias"), ("params", "kernel")]
    assert found.variables["params"]["kernel"].names == ("a", "b")


@pytest.mark.law("B2")
def test_a_variable_that_only_inference_makes_is_found(examined):
    found = examined(InferenceOnly(), X)
    assert found.extra_init
    assert {"/".join(path) for path in found.layout.paths} == {
        "cache/last",
        "params/head/kernel",
        "params/head/bias",
        "params/body_True/kernel",
        "params/body_True/bias",
        "params/body_False/kernel",
        "params/body_False/bias",
    }


@pytest.mark.law("B2")
def test_a_module_whose_init_makes_everything_needs_no_second_init(examined):
    assert not examined(Norm(), X).extra_init


@pytest.mark.law("C2")
def test_state_that_init_never_makes_has_a_place_and_a_flag(examined):
    found = examined(LateState(), X)
    assert found.layout.paths == [("late", "__made__"), ("late", "n")]
    assert roles(found) == {"late": "state"}


@pytest.mark.law("C2")
def test_state_that_changes_its_form_is_explained(examined):
    class Grows(nn.Module):
        @nn.compact
        def __call__(self, x):
            seen = self.variable("seen", "x", lambda: jnp.zeros(()))
            if not self.is_initializing():
                seen.value = jnp.zeros((2,))
            return x

    with pytest.raises(BuildModuleError) as caught:
        examined(Grows(), X, policy=CollectionPolicy(state=("seen",)))
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "Layer 'it' (module Grows) changes the form of its state 'seen' when it is applied."
    )
    assert lines[-1] == "Law: C2"


@pytest.mark.law("C2")
def test_state_that_init_never_makes_may_be_called_transient(examined):
    found = examined(LateState(), X, policy=CollectionPolicy(transient=("late",)))
    assert roles(found) == {"late": "transient"}


@pytest.mark.law("A6")
def test_a_module_that_branches_on_values_is_not_traceable(examined):
    found = examined(Branches(), X)
    assert not found.traceable
    assert roles(found) == {"params": "trainable", "counter": "state"}


@pytest.mark.law("A6")
def test_an_ordinary_module_is_traceable(examined):
    assert examined(Norm(), X).traceable


@pytest.mark.law("A6")
def test_abstract_discovery_refuses_to_branch_on_values(module_call):
    asked, _ = module_call(Branches(), X)
    with pytest.raises(jax.errors.ConcretizationTypeError):
        infer_module_spec(asked, [X])


@pytest.mark.law("A1")
def test_a_module_without_variables_or_arguments_is_examined(examined):
    class Constant(nn.Module):
        @nn.compact
        def __call__(self):
            return jnp.ones(3)

    found = examined(Constant())
    assert roles(found) == {}
    assert found.training.output.shape == (3,)


@pytest.mark.law("A1")
@pytest.mark.parametrize("mask", [None, X], ids=["left out", "given"])
def test_an_optional_argument_is_examined_as_it_is_given(examined, mask):
    class Optional(nn.Module):
        @nn.compact
        def __call__(self, x, mask=None):
            return x if mask is None else (x, mask)

    found = examined(Optional(), X, kwargs={"mask": mask})
    assert len(jax.tree_util.tree_leaves(found.training.output)) == (1 if mask is None else 2)


@pytest.mark.law("A5")
@pytest.mark.parametrize("value", ["relu", 3, None, True], ids=repr)
def test_outputs_that_are_no_arrays_are_part_of_the_structure(examined, value):
    output = examined(Returns(value), X).training.output
    assert output["value"] == (None if value is None else Static(value))


@pytest.mark.law("A3")
def test_another_method_may_initialize(examined):
    class Auto(nn.Module):
        def setup(self):
            self.encoder, self.decoder = nn.Dense(2), nn.Dense(4)

        def __call__(self, x):
            return self.decoder(self.encoder(x))

        def encode(self, x):
            return self.encoder(x)

    found = examined(Auto(), X, method="encode", init_method="__call__")
    assert {path[1] for path in found.layout.paths} == {"encoder", "decoder"}
    assert found.training.output.shape == (2, 2)


@pytest.mark.law("B1")
def test_another_call_of_a_built_layer_is_found_from_what_is_stored(examined, module_call):
    stored = examined(Norm(), X).variables
    asked, _ = module_call(Norm(), X, kwargs={"train": True})
    found = infer_call_spec(asked, [X], stored)
    assert same_structure(dict(found.variables), dict(stored))
    # train=True of the caller wins: inference updates the statistics too.
    assert found.inference.denied == ("params",)


@pytest.mark.law("B1")
def test_inputs_that_only_init_takes_are_enough_where_no_call_is_made(module_call):
    sequence = jax.ShapeDtypeStruct((2, 5, 4), jnp.float32)
    asked, _ = module_call(Cached(), sequence)
    found, _ = infer_module_spec(asked, [sequence], applied=False)
    raw = jax.eval_shape(lambda x: Cached().init(jax.random.key(0), x), sequence)
    assert not found.applied
    assert same_structure(dict(found.variables), raw)


def test_merging_keeps_what_is_there_and_adds_what_is_missing():
    left, right = {"a": {"x": 1}, "b": 2}, {"a": {"x": 3, "y": 4}, "b": {"z": 5}, "c": {"w": 6}}
    assert fill_missing(left, right) == {"a": {"x": 1, "y": 4}, "b": 2, "c": {"w": 6}}
    assert left == {"a": {"x": 1}, "b": 2}
