"""nnx modules behind core's protocol, beside the same objects called by themselves."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.core import DenyList
from flax.errors import ModifyScopeVariableError

from flaxlayer_core import (
    AcceptModuleError,
    BuildModuleError,
    InspectMethodError,
    LinenModule,
    MatchVariablesError,
    MethodSignature,
    NnxModule,
    Role,
    wrap_module,
)
from flaxlayer_core.compat.private_nnx import variable_value
from flaxlayer_core.modules.nnx.call_streams import CallStreams
from flaxlayer_core.modules.nnx.graph import rng_streams
from flaxlayer_core.modules.nnx.nnx_factories import abstract_module, is_nnx_factory, to_factory

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")

# Flax 0.12 has a list of its own.
as_list = getattr(nnx, "List", list)
X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


class Net(nnx.Module):
    """Dense, normalisation, dropout, a list, a tied layer, an array and a custom variable."""

    def __init__(self, width, *, rngs):
        self.dense = nnx.Linear(3, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.layers = as_list([nnx.Linear(width, width, rngs=rngs) for _ in range(2)])
        self.tied = self.layers[0]
        self.table = nnx.data(jnp.arange(float(width)))
        self.count = Count(jnp.zeros((), jnp.int32))

    def __call__(self, x):
        self.count[...] += 1
        x = self.dropout(self.norm(self.dense(x)))
        for layer in self.layers:
            x = layer(x)
        self.sow(nnx.Intermediate, "hidden", x)
        return self.tied(x) + self.table

    def encode(self, x):
        return self.dense(x)


class Count(nnx.Variable):
    pass


def make():
    return Net(4, rngs=nnx.Rngs(params=0, dropout=1))


def modes(training):
    call = MethodSignature.from_method(NnxModule(make()), None)
    return call.modes(training)


def init(module, *, method="__call__", keys=("default", "dropout", "params")):
    rngs = {name: jax.random.key(i) for i, name in enumerate(keys)}
    return module.init(rngs, (), {}, method=method), rngs


NOT_PARAMS = DenyList(("params",))


def apply(module, variables, *, training, rngs=None, mutable=NOT_PARAMS, **kwargs):
    return module.apply(
        variables,
        (X,),
        kwargs,
        method="__call__",
        rngs=rngs or {},
        mutable=mutable,
        modes=modes(training),
    )


def call_raw(module, x, *, training):
    (module.train if training else module.eval)()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module(x)


def leaves(tree):
    return {
        jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


@pytest.mark.law("C1")
def test_types_of_variables_are_collections_and_random_state_is_none():
    variables, _ = init(NnxModule(make()))
    assert set(variables) == {"params", "batch_stats", "arrays", "Count"}
    assert set(variables["params"]) == {"dense", "norm", "layers"}
    assert set(variables["params"]["layers"]) == {"0", "1"}


@pytest.mark.law("C1")
def test_a_shared_layer_is_one_weight():
    variables, _ = init(NnxModule(make()))
    assert "tied" not in variables["params"]


@pytest.mark.law("B2")
def test_a_module_that_exists_keeps_its_values():
    module = make()
    variables, _ = init(NnxModule(module))
    assert variables["params"]["dense"]["kernel"] is variable_value(module.dense.kernel)


@pytest.mark.law("B2")
def test_a_module_that_is_made_has_the_values_of_its_constructor():
    module = NnxModule(functools.partial(Net, 4))
    variables, rngs = init(module)
    raw = Net(4, rngs=nnx.Rngs(**rngs))
    assert (variables["params"]["dense"]["kernel"] == variable_value(raw.dense.kernel)).all()
    assert (
        variables["params"]["layers"]["1"]["kernel"] == variable_value(raw.layers[1].kernel)
    ).all()


@pytest.mark.law("R1")
def test_the_streams_of_a_module_are_known_by_their_tags():
    assert NnxModule(make()).offered_streams(init=False) == ("dropout",)
    assert NnxModule(make()).offered_streams(init=True) == ()
    assert set(NnxModule(Moded).offered_streams(init=True)) == {"default", "dropout", "params"}


@pytest.mark.law("A2")
@pytest.mark.parametrize("handed_over", ["train", "eval"])
@pytest.mark.parametrize("training", [False, True])
def test_the_flag_decides_and_not_the_mode_that_the_object_was_in(handed_over, training):
    given = make()
    getattr(given, handed_over)()
    module = NnxModule(given)
    variables, _ = init(module)
    rngs = {"dropout": jax.random.key(5)}
    y, updates = apply(module, variables, training=training, rngs=rngs)
    raw = make()
    nnx.reseed(raw, policy="match_shape", **rngs)
    assert (y == call_raw(raw, X, training=training)).all()
    np.testing.assert_array_equal(
        updates["batch_stats"]["norm"]["mean"], variable_value(raw.norm.mean)
    )
    assert updates["Count"]["count"] == variable_value(raw.count) == 1


@pytest.mark.law("C7")
def test_sown_values_come_back_by_path():
    module = NnxModule(make())
    _, updates = apply(module, init(module)[0], training=False)
    raw = make()
    call_raw(raw, X, training=False)
    (sown,) = updates["intermediates"]["hidden"]
    assert (sown == variable_value(raw.hidden)[0]).all()


@pytest.mark.law("C3")
def test_the_object_is_never_changed():
    given = make()
    before = leaves(nnx.state(given))
    module = NnxModule(given)
    apply(module, init(module)[0], training=True, rngs={"dropout": jax.random.key(0)})
    after = leaves(nnx.state(given))
    assert before.keys() == after.keys()
    assert all(before[path] is after[path] for path in before)
    assert given.dropout.deterministic is False


@pytest.mark.law("C3")
def test_a_collection_that_may_not_change_and_does_is_an_error():
    module = NnxModule(make())
    with pytest.raises(ModifyScopeVariableError, match="Count"):
        apply(module, init(module)[0], training=False, mutable=DenyList(("params", "Count")))


@pytest.mark.law("C3")
def test_what_a_call_makes_of_a_param_is_not_kept():
    norm = nnx.SpectralNorm(nnx.Linear(3, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    module = NnxModule(norm)
    y, updates = apply(module, init(module)[0], training=True)
    assert "params" not in updates
    assert (y == norm(jnp.asarray(X))).all()


@pytest.mark.law("R1")
def test_the_record_tells_what_a_call_draws():
    module = NnxModule(make())
    variables, _ = init(module)
    for training, drawn in ((True, {"dropout"}), (False, set())):
        with module.record_streams() as record:
            apply(module, variables, training=training, rngs={"dropout": jax.random.key(0)})
        assert record.drawn == drawn


@pytest.mark.law("R2")
def test_two_layers_on_one_stream_draw_different_numbers():
    class Two(nnx.Module):
        def __init__(self, rngs):
            self.first, self.second = (nnx.Dropout(0.5, rngs=rngs) for _ in range(2))

        def __call__(self, x):
            return self.first(x), self.second(x)

    module = NnxModule(Two(nnx.Rngs(dropout=0)))
    y, _ = apply(module, {}, training=True, rngs={"dropout": jax.random.key(1)})
    assert (y[0] != y[1]).any()


@pytest.mark.law("R1")
def test_a_trace_asks_no_draw_where_it_lies(monkeypatch):
    # JAX would search the whole trace to say that a tracer lies nowhere.
    asked = []
    monkeypatch.setattr(jax.core.Tracer, "sharding", property(asked.append))

    def draw(seed):
        rngs = nnx.Rngs(dropout=jax.random.key(seed))
        streams = CallStreams(rng_streams(rngs), {})
        return rngs.dropout(), rngs.dropout(), streams.drawn == {"dropout"}

    *keys, drawn = jax.jit(draw)(3)
    assert drawn
    raw = nnx.Rngs(dropout=3)
    assert keys == [raw.dropout(), raw.dropout()]

    jax.eval_shape(lambda: init(NnxModule(lambda rngs: Net(4, rngs=rngs)))[0])
    assert not asked


@pytest.mark.law("R1")
def test_the_streams_of_a_module_stay_those_of_flax():
    class Copies(nnx.Module):
        def __init__(self, rngs):
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.rngs = rngs

        def __call__(self, x):
            y = self.dropout(x)
            self.dropout = nnx.clone(self.dropout)
            return y

    made = NnxModule(Copies)
    variables, keys = init(made)
    apply(made, variables, training=True, rngs=keys)
    bound = made.bind(variables)
    assert {type(stream.count) for stream in rng_streams(bound)} == {nnx.RngCount}


class Moded(nnx.Module):
    def __init__(self):
        self.training = True
        self.enabled = False

    def __call__(self, x):
        return x * self.training + 10 * x * self.enabled


class Viewed(nnx.Module):
    def __init__(self):
        self.kind = "none"

    def set_view(self, training=None):
        self.kind = "train" if training else "infer"

    def __call__(self, x):
        return x if self.kind == "train" else -x


@pytest.mark.law("A2")
def test_attributes_and_views_tell_the_mode():
    for training in (False, True):
        assert (apply(NnxModule(Moded()), {}, training=training)[0] == X * training).all()
        sign = 1 if training else -1
        assert (apply(NnxModule(Viewed()), {}, training=training)[0] == sign * X).all()


@pytest.mark.law("A2")
def test_a_named_attribute_gets_the_flag():
    module = NnxModule(Moded())
    call = MethodSignature.from_method(module, None, training_arg="~enabled")
    assert call.attribute == ("enabled", True)
    y, _ = module.apply(
        {}, (X,), {}, method="__call__", rngs={}, mutable=True, modes=call.modes(False)
    )
    assert (y == 10 * X).all()


@pytest.mark.law("C2")
def test_kinds_of_params_are_trainable_and_other_types_ask_their_calls():
    module = NnxModule(nnx.LoRA(3, 2, 4, rngs=nnx.Rngs(0)))
    assert module.default_role("LoRAParam") is Role.TRAINABLE
    assert NnxModule(make()).default_role("Count") is None


@pytest.mark.law("C2")
def test_an_attribute_that_is_no_variable_may_not_change():
    class Steps(nnx.Module):
        def __init__(self):
            self.steps = 0

        def __call__(self, x):
            self.steps += 1
            return x

    with pytest.raises(BuildModuleError, match=r"Steps changes an attribute that is no nnx\.Var"):
        apply(NnxModule(Steps()), {}, training=False)


class Hidden(nnx.Intermediate):
    pass


class Shift(nnx.Variable):
    pass


class Shifted(nnx.Module):
    def __init__(self):
        self.by = Shift(jnp.ones(3))

    def __call__(self, x):
        return x + self.by[...]


class Later(nnx.Module):
    """Makes state in its calls: a module when it trains, a count when it does not."""

    def __init__(self, rngs):
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        if self.dropout.deterministic:
            if not hasattr(self, "count"):
                self.count = Count(jnp.zeros((), jnp.int32))
            self.count[...] += 1
        elif not hasattr(self, "late"):
            self.late = Shifted()
        self.sow(Hidden, "hidden", x)
        y = self.dropout(self.dense(x))
        return self.late(y) if hasattr(self, "late") else y


def facts(module):
    return (
        {name: module.default_role(name) for name in ("params", "Count", "Hidden", "Shift")},
        module.offered_streams(init=False),
        module.offered_streams(init=True),
        module.axis_names({}),
    )


@pytest.mark.law("C2")
@pytest.mark.parametrize("made", [Later, lambda: Later(nnx.Rngs(0))], ids=["class", "object"])
def test_a_module_learns_nothing_from_its_calls(made):
    value = made if made is Later else made()
    module = NnxModule(value)
    before = facts(module)
    variables, rngs = init(NnxModule(value))
    outputs = [
        apply(module, variables, training=training, rngs=rngs)[0] for training in (True, False)
    ]
    assert facts(module) == before == facts(NnxModule(value))
    untouched = NnxModule(value)  # which has made no variables either
    for training, expected in ((False, outputs[1]), (True, outputs[0])):
        assert (apply(untouched, variables, training=training, rngs=rngs)[0] == expected).all()


@pytest.mark.law("C2")
def test_a_module_that_runs_on_state_of_calls_is_another_one():
    module = NnxModule(Later)
    variables, rngs = init(module)

    def both():
        one = apply(module, variables, training=True, rngs=rngs)[1]
        return one, apply(module, variables, training=False, rngs=rngs)[1]

    (trained, counted), known = module.extended_by(both)
    assert (known.default_role("Hidden"), module.default_role("Hidden")) == (Role.TRANSIENT, None)
    # No call has made both: what is known of each is put together.
    stored = {**variables, "Count": counted["Count"], "Shift": trained["Shift"]}
    y, updates = apply(known, stored, training=False, rngs=rngs)
    assert updates["Count"]["count"] == 2
    without, _ = apply(known, {**variables, "Count": counted["Count"]}, training=False, rngs=rngs)
    assert (y == without + 1).all()


@pytest.mark.law("C2")
def test_variables_that_a_module_has_no_place_for_are_named():
    module = NnxModule(Later)
    variables, rngs = init(module)
    with pytest.raises(MatchVariablesError, match="Count/other"):
        apply(module, {**variables, "Count": {"other": 1}}, training=False, rngs=rngs)


@pytest.mark.law("W2")
def test_a_bound_module_holds_the_values_and_leaves_the_given_one_alone():
    given = make()
    module = NnxModule(given)
    variables, _ = init(module)
    variables["params"]["dense"]["bias"] = jnp.full(4, 7.0)
    bound = module.bind(variables)
    assert (variable_value(bound.dense.bias) == 7).all()
    assert (variable_value(given.dense.bias) == 0).all()
    assert bound.tied is bound.layers[0]


@pytest.mark.law("W1")
def test_two_variables_of_one_path_are_refused():
    class First(nnx.Module):
        def __init__(self):
            self.a = nnx.data({"b": Count(jnp.zeros(1)), "c": Count(jnp.zeros(1))})

    class Second(nnx.Module):
        def __init__(self):
            self.a = nnx.data({("b",): {"c": Count(jnp.zeros(1))}, ("b", "c"): Count(jnp.zeros(1))})

    assert set(init(NnxModule(First()))[0]["Count"]["a"]) == {"b", "c"}
    with pytest.raises(AcceptModuleError, match="'Count/a/b/c' twice"):
        NnxModule(Second())


@pytest.mark.law("A3")
def test_methods_are_those_of_the_class():
    module = NnxModule(make())
    assert module.resolve_method("encode") == "encode"
    assert str(module.signature("encode")) == "(x)"
    with pytest.raises(InspectMethodError, match="one of: __call__, encode"):
        module.resolve_method("train")


def test_a_module_is_described_without_arrays():
    module = abstract_module(functools.partial(function_factory, 4))
    assert isinstance(module, Net)
    assert isinstance(variable_value(module.dense.kernel), jax.ShapeDtypeStruct)


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


def test_a_factory_that_fails_or_makes_something_else_is_explained():
    with pytest.raises(AcceptModuleError, match="missing a required argument: 'out_features'"):
        NnxModule(functools.partial(nnx.Linear, 3))

    def makes_a_dict(rngs):
        return {"rngs": rngs}

    with pytest.raises(AcceptModuleError, match=r"Found: dict, which is no nnx\.Module"):
        NnxModule(makes_a_dict)


@pytest.mark.law("S1")
def test_a_module_that_tells_its_arguments_is_stored_as_what_makes_it():
    class Told(Moded):
        def __init__(self, width=1, *, rngs=None):
            super().__init__()
            self.width = width

        def get_config(self):
            return {"width": self.width}

    made = to_factory(Told(3))
    assert (made.func, made.args, made.keywords) == (Told, (), {"width": 3})


def test_a_flax_whose_nnx_is_too_old_is_named(monkeypatch):
    module = Net(4, rngs=nnx.Rngs(0))
    monkeypatch.delattr(nnx, "data")
    with pytest.raises(AcceptModuleError, match=r"flax >= 0\.11[\s\S]*pip install"):
        NnxModule(module)
