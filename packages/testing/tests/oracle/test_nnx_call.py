"""The raw side of nnx modules, beside the same objects called by themselves."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.errors import ModifyScopeVariableError

from flaxlayer import FlaxLayer
from flaxlayer_testing import Status, Subject, check_module, run_report
from flaxlayer_testing.oracle.nnx_call import NnxCall
from flaxlayer_testing.oracle.oracle import Oracle

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


class Count(nnx.Variable):
    pass


class Block(nnx.Module):
    def __init__(self, width=3, *, rngs):
        self.dense = nnx.Linear(3, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.first, self.second = (nnx.Dropout(0.5, rngs=rngs) for _ in range(2))
        self.tied = self.dense
        self.table = nnx.data(jnp.arange(float(width)))
        self.count = Count(jnp.zeros((), jnp.int32))

    def __call__(self, x):
        self.count[...] += 1
        self.sow(nnx.Intermediate, "input", x)
        x = self.first(self.norm(self.dense(x)))
        return self.second(self.tied(x)) + self.table

    def encode(self, x):
        return self.dense(x)

    def get_config(self):
        return {"width": self.tied.out_features}


MADE, GIVEN = functools.partial(Block, 3), Block(rngs=nnx.Rngs(3, dropout=4))
KEYS = {name: jax.random.key(i) for i, name in enumerate(("default", "dropout", "params"))}


def oracle(module=MADE):
    return Oracle(NnxCall(module, (X,), {}))


def plain(variables, training):
    """The module by itself: made with the same keys, reseeded, in its mode."""
    module = Block(3, rngs=nnx.Rngs(**KEYS))
    module.dense.bias[...] = variables["params"]["dense"]["bias"]
    nnx.reseed(module, policy="match_shape", dropout=jax.random.key(9))
    (module.train if training else module.eval)()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module, module(jnp.asarray(X))


@pytest.mark.law("C1")
def test_variables_stand_by_collection_and_path_and_streams_are_none():
    tree = oracle().init(KEYS)
    assert sorted(tree) == ["Count", "arrays", "batch_stats", "params"]
    assert sorted(tree["params"]) == ["dense", "norm"]


@pytest.mark.law("B2")
def test_initial_values_are_those_of_the_constructor():
    tree, module = oracle().init(KEYS), Block(3, rngs=nnx.Rngs(**KEYS))
    np.testing.assert_array_equal(tree["params"]["dense"]["kernel"], module.dense.kernel[...])


class Masks(nnx.Module):
    """Its constructor computes arrays that are no variables, in an inner module too."""

    def __init__(self, depth=1, *, rngs):
        self.mask = jnp.ones(3).at[0].set(0)
        self.inner = Masks(depth - 1, rngs=rngs) if depth else None

    def __call__(self, x):
        return x * self.mask


@pytest.mark.law("B1")
def test_arrays_that_a_constructor_computes_stand_there_in_a_trace_too():
    raw = NnxCall(Masks, (X,), {})
    traced = jax.eval_shape(functools.partial(raw.init, training=True), KEYS)
    made = raw.init(KEYS, training=True)
    assert jax.tree.structure(traced) == jax.tree.structure(made)
    assert sorted(traced["arrays"]) == ["inner", "mask"]
    np.testing.assert_array_equal(made["arrays"]["mask"], Masks(rngs=nnx.Rngs(0)).mask)


@pytest.mark.law("A2")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("given", [MADE, GIVEN], ids=["class", "object"])
def test_a_call_is_that_of_the_module_by_itself(given, training):
    raw, variables = oracle(given), dict(oracle().init(KEYS))
    variables["params"]["dense"]["bias"] = jnp.arange(3.0)
    outputs, updates = raw.apply(variables, {"dropout": jax.random.key(9)}, training=training)
    module, expected = plain(variables, training)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-6)
    assert ("batch_stats" in updates) == training
    if training:
        np.testing.assert_allclose(updates["batch_stats"]["norm"]["mean"], module.norm.mean[...])
    assert int(updates["Count"]["count"]) == 1
    np.testing.assert_array_equal(updates["intermediates"]["input"][0], X)
    assert "params" not in updates


@pytest.mark.law("R1")
def test_the_streams_are_those_that_a_result_depends_on():
    class Hands(nnx.Module):
        """Hands a stream to a transform that does not use it."""

        def __init__(self, *, rngs):
            make = nnx.split_rngs(splits=2)(nnx.vmap(lambda rngs: nnx.Dropout(0.5, rngs=rngs)))
            self.layers = make(rngs)

        def __call__(self, x):
            return nnx.vmap(lambda layer, x: layer(x), in_axes=(0, None))(self.layers, x)

    for module in (MADE, Hands):
        raw = oracle(module)
        assert raw.drawn_streams(training=True) == {"dropout"}
        assert raw.drawn_streams(training=False) == frozenset()
        assert raw.needs_rng(training=True)
        assert not raw.needs_rng(training=False)


@pytest.mark.law("R2")
def test_a_stream_without_a_key_does_not_fall_back_to_the_object_s_own():
    module = Block(rngs=nnx.Rngs(0, dropout=nnx.Rngs(dropout=9).dropout.key[...]))
    raw = oracle(module)
    variables = raw.init({})
    given, _ = raw.apply(variables, {"dropout": jax.random.key(0)}, training=True)
    missing, _ = raw.apply(variables, {}, training=True)
    assert (given != missing).any()


@pytest.mark.law("C3")
def test_state_that_may_not_change_and_does_is_refused():
    raw = oracle()
    assert raw.denied == {"batch_stats", "arrays"}
    with pytest.raises(ModifyScopeVariableError, match="Count"):
        raw.raw.apply(
            raw.init(KEYS), {}, raw.raw.arrays, training=False, denied=frozenset({"Count"})
        )


@pytest.mark.law("C2")
def test_what_derives_from_param_is_trained():
    made = functools.partial(nnx.LoRALinear, 3, 2, lora_rank=2)
    assert oracle(made).raw.trainable == {"params", "LoRAParam"}
    assert oracle(made).state_collections == frozenset()


@pytest.mark.law("C3")
def test_contents_tell_every_change_of_an_object():
    module = Block(rngs=nnx.Rngs(0))
    raw = NnxCall(module, (X,), {})
    graph, values = raw.contents()
    module.eval()
    module.dense.bias[...] += 1
    after, changed = raw.contents()
    assert graph != after
    assert [name for name in values if (values[name] != changed[name]).any()] == [
        "['dense']['bias'].value" if "['dense']['bias'].value" in values else "['dense']['bias']"
    ]


CHECKS = ["check_build_paths", "check_training", "check_bound_module", "check_object_kept"]


@pytest.mark.law("T2")
def test_the_checks_run_nnx_objects():
    report = check_module(Block(rngs=nnx.Rngs(0)), X, only=[*CHECKS, "check_config"])
    report.raise_for_failures()
    assert {str(entry.status) for entry in report.entries} == {"passed"}
    assert report.subject == "Block(float32[4,3])"


@pytest.mark.law("T2")
def test_what_makes_a_module_has_no_values_to_keep():
    report = check_module(MADE, X, only=CHECKS)
    statuses = {entry.check: str(entry.status) for entry in report.entries}
    assert statuses == {**dict.fromkeys(CHECKS, "passed"), "check_object_kept": "skipped"}


class BindsAnotherGraph(FlaxLayer):
    def to_module(self):
        module = super().to_module()
        module.norm.epsilon = 0.5
        return module


class RunsTheGivenObject(FlaxLayer):
    def __call__(self, *args, **kwargs):
        self.module.count[...] += 1
        return super().__call__(*args, **kwargs)


class SwitchesTheGivenObject(FlaxLayer):
    def __call__(self, *args, **kwargs):
        self.module.eval()
        return super().__call__(*args, **kwargs)


@pytest.mark.law("T5")
@pytest.mark.parametrize(
    ("layer", "check", "message"),
    [
        (BindsAnotherGraph, "check_bound_module", "outputs of the bound module"),
        (RunsTheGivenObject, "check_object_kept", "values of the given object"),
        (SwitchesTheGivenObject, "check_object_kept", "changes the object that it was given"),
    ],
)
def test_the_checks_of_objects_can_fail(layer, check, message):
    subject = Subject(Block(rngs=nnx.Rngs(0)), (X,), layer=layer)
    (entry,) = run_report(subject, only=[check]).entries
    assert entry.status is Status.FAILED
    assert message in entry.message
    assert "::test_the_checks_of_objects_can_fail[" in entry.replay  # no program holds the layer


def test_arrays_in_a_list_of_modules_are_set():
    class Net(nnx.Module):
        def __init__(self, *, rngs):
            linear = nnx.Linear(3, 2, rngs=rngs)
            self.layers = nnx.List([nnx.WeightNorm(linear, rngs=rngs)])

        def __call__(self, x):
            return self.layers[0](x)

    module, x = Net(rngs=nnx.Rngs(0)), jnp.ones((1, 3))
    raw = NnxCall(module, (x,), {})
    variables = jax.tree.map(lambda leaf: 2 * leaf, raw.init({}, training=False))
    outputs, _ = raw.apply(variables, {}, [x], training=False, denied=frozenset({"params"}))
    twice = nnx.clone(module)
    nnx.update(twice, jax.tree.map(lambda leaf: 2 * leaf, nnx.state(module)))
    np.testing.assert_array_equal(outputs, twice(x))


@pytest.mark.law("C3")
def test_state_of_numpy_that_may_not_change_and_does_not_is_no_change():
    call = NnxCall(functools.partial(nnx.BatchNorm, 3), (X,), {})
    variables = jax.tree.map(np.asarray, call.init({"params": jax.random.key(0)}, training=True))
    denied = frozenset({"params", "batch_stats"})
    _, updates = call.apply(variables, {}, call.arrays, training=False, denied=denied)
    assert updates == {}
