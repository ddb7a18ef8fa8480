"""Given variables are the truth: whole trees, full-length caches, parts, what passes by (B4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax.core import freeze

from flaxlayer import FlaxLayer
from flaxlayer_core import CollectionPolicy, MatchVariablesError

pytestmark = pytest.mark.law("B4")

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
TOKENS = np.linspace(-1, 1, 40, dtype=np.float32).reshape(2, 5, 4)


class AutoEncoder(nn.Module):
    def setup(self):
        self.e = nn.Dense(2)
        self.d = nn.Dense(3)

    def __call__(self, x):
        return self.decode(self.encode(x))

    def encode(self, x):
        return self.e(x)

    def decode(self, z):
        return self.d(z)


class Decoder(nn.Module):
    """Has a cache of the length of the sequence that init sees; a call takes one token."""

    @nn.compact
    def __call__(self, x):
        return nn.MultiHeadDotProductAttention(2, decode=True)(x)


class Perturbed(nn.Module):
    """Adds what is given in a collection that passes by."""

    @nn.compact
    def __call__(self, x):
        y = self.perturb("p", nn.Dense(2)(x))
        self.sow("intermediates", "y", y)
        self.sow("losses", "l2", jnp.sum(y**2))
        return y


class Refuses(nn.Module):
    """Cannot be initialised."""

    @nn.compact
    def __call__(self, x):
        if self.is_initializing():
            message = "init is traced"
            raise RuntimeError(message)
        return nn.Dense(2)(x)


class Counts(nn.Module):
    """Makes its statistics at init, and in a call too where they may change."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(3)(x)
        return nn.BatchNorm(use_running_average=not train)(x)


@pytest.fixture(scope="module")
def whole():
    return AutoEncoder().init(jax.random.key(3), X)


@pytest.fixture(scope="module")
def decoding():
    return Decoder().init(jax.random.key(3), TOKENS)


def test_a_method_takes_the_variables_of_the_whole_module_and_hands_all_of_them_back(
    whole, same_bits, same_results
):
    layer = FlaxLayer(AutoEncoder(), method="encode", variables=whole)
    z = jax.jit(lambda x: AutoEncoder().apply(whole, x, method="encode"))(X)
    same_results(layer(X), z)
    same_bits(layer.flax_variables(), whole)
    assert layer.init_rngs() == {}
    y = jax.jit(lambda z: AutoEncoder().apply(whole, z, method="decode"))(np.asarray(z))
    same_results(layer.method("decode")(z), y)


@pytest.mark.parametrize("tokens", [1, 3])
def test_a_decoder_takes_the_cache_of_the_whole_sequence(decoding, tokens, same_results):
    layer, state = FlaxLayer(Decoder(), variables=decoding), dict(decoding)
    step = jax.jit(lambda state, x: Decoder().apply(state, x, mutable=["cache"]))
    for index in range(tokens):
        token = TOKENS[:, index : index + 1]
        expected, updates = step(state, token)
        state |= updates
        same_results(layer(token), expected)
    same_results(layer.flax_variables(), state)


def test_a_functional_model_takes_the_cache_where_its_batch_size_is_known(decoding):
    inputs = keras.Input(batch_shape=(2, 1, 4))
    layer = FlaxLayer(Decoder(), variables=decoding)
    model = keras.Model(inputs, layer(inputs))
    expected = Decoder().apply(decoding, TOKENS[:, :1], mutable=["cache"])[0]
    np.testing.assert_allclose(np.asarray(model(TOKENS[:, :1])), expected, rtol=1e-5, atol=1e-5)


def test_init_is_not_traced_where_the_method_can_be_applied_to_what_was_given(same_results):
    params = nn.Dense(2).init(jax.random.key(0), X)["params"]
    given = {"params": {"Dense_0": params}}
    layer = FlaxLayer(Refuses(), variables=given)
    same_results(layer(X), jax.jit(lambda x: Refuses().apply(given, x))(X))


def test_given_dtypes_stand_in_a_method_that_reads_a_part(whole, same_bits):
    given = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), whole)
    layer = FlaxLayer(AutoEncoder(), method="encode", variables=given)
    layer(X)
    same_bits(layer.flax_variables(), given)


def test_state_that_a_call_would_make_comes_from_init_where_it_is_missing(same_bits):
    given = Counts().init(jax.random.key(0), X)
    layer = FlaxLayer(Counts(), variables={"params": given["params"]})
    layer.build(X.shape)
    same_bits(layer.flax_variables(), given)


def test_an_entry_that_neither_init_nor_the_call_knows_is_named_beside_what_is_missing(whole):
    given = {"params": {"e": {"kernle": whole["params"]["e"]["kernel"]}}}
    layer = FlaxLayer(AutoEncoder(), variables=given)
    with pytest.raises(MatchVariablesError) as caught:
        layer(X)
    assert caught.value.found == "params/e/kernle: unknown"
    assert "missing: " in caught.value.expected
    assert "params/e/kernel [3,2]" in caught.value.expected
    assert not layer.built


def test_a_misspelt_collection_is_named_beside_the_one_that_is_missing():
    variables = Counts().init(jax.random.key(0), X)
    given = {"params": variables["params"], "batch_stat": variables["batch_stats"]}
    with pytest.raises(MatchVariablesError, match="batch_stat/BatchNorm_0/mean: unknown") as caught:
        FlaxLayer(Counts(), variables=given)(X)
    assert "missing: batch_stats/BatchNorm_0/mean [3]" in caught.value.expected


@pytest.mark.parametrize("batch", [2, None])
def test_a_shape_that_the_call_refuses_is_an_error_that_names_its_path(whole, batch):
    layer = FlaxLayer(AutoEncoder(), method="encode", variables=whole)
    with pytest.raises(MatchVariablesError) as caught:
        layer(keras.Input(batch_shape=(batch, 4)))
    assert caught.value.found.startswith("params/e/kernel: shape [3,2]")
    assert "params/e/kernel [4,2]" in caught.value.expected
    assert not layer.built


def test_a_cache_of_another_batch_size_is_an_error_that_names_its_path(decoding):
    layer = FlaxLayer(Decoder(), variables=decoding)
    with pytest.raises(MatchVariablesError, match=r"cached_key: shape \[2,5,2,2\]"):
        layer(np.ones((3, 1, 4), np.float32))


@pytest.mark.parametrize("kept", [False, True], ids=["as found", "by policy"])
def test_given_perturbations_are_fed_to_calls_and_handed_back(kept, same_bits, same_results):
    variables = Perturbed().init(jax.random.key(0), X)
    perturbations = {"p": np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)}
    given = {"params": variables["params"], "perturbations": perturbations}
    policy = CollectionPolicy(state=("perturbations",)) if kept else None
    layer = FlaxLayer(Perturbed(), variables=given, collections=policy)
    for _ in range(2):
        same_results(layer(X), jax.jit(lambda x: Perturbed().apply(given, x))(X))
    same_bits(layer.flax_variables(), given)


def test_given_perturbations_that_a_call_cannot_take_are_named():
    given = Perturbed().init(jax.random.key(0), X)
    layer = FlaxLayer(Perturbed(), variables=given)
    with pytest.raises(MatchVariablesError, match="perturbations/p: shape"):
        layer(np.ones((5, 3), np.float32))


def test_perturbations_that_are_loaded_into_a_layer_without_a_place_for_them_are_named(same_bits):
    variables = Perturbed().init(jax.random.key(0), X)
    layer = FlaxLayer(Perturbed())
    layer(X)
    layer.load_flax_variables(variables)
    same_bits(layer.flax_variables(), {"params": variables["params"]})
    given = jax.tree.map(lambda leaf: leaf + 1, variables)
    with pytest.raises(MatchVariablesError, match="perturbations/p: it has no place"):
        layer.load_flax_variables(given)
    same_bits(layer.flax_variables(), {"params": variables["params"]})
    stored = FlaxLayer(Perturbed(), variables=variables)
    stored(X)
    stored.load_flax_variables(given)
    same_bits(stored.flax_variables(), {name: given[name] for name in ("params", "perturbations")})


def test_sown_values_of_init_are_records_of_another_call_and_are_left_out(same_bits):
    params = {"params": Perturbed().init(jax.random.key(0), X)["params"]}
    given = params | Perturbed().apply(params, X, mutable=["intermediates", "losses"])[1]
    layer = FlaxLayer(Perturbed(), variables=given, return_sown=("intermediates",))
    _, sown = layer(X)
    assert len(sown["intermediates"]["y"]) == 1
    same_bits(layer.flax_variables(), params)


@pytest.mark.parametrize(
    "convert",
    [
        freeze,
        lambda tree: {"params": freeze(tree["params"])},
        lambda tree: jax.tree.map(np.asarray, tree),
        lambda tree: {**tree, "unused": {}},
    ],
    ids=["FrozenDict", "FrozenDict inside", "numpy", "an empty collection"],
)
def test_trees_of_every_kind_are_taken(convert, whole, same_results):
    layer = FlaxLayer(AutoEncoder(), variables=convert(whole))
    same_results(layer(X), jax.jit(lambda x: AutoEncoder().apply(whole, x))(X))


def test_a_tree_that_keras_tracks_is_the_plain_one(whole, same_bits):
    model = keras.Model()
    model.given = whole
    layer = FlaxLayer(AutoEncoder(), variables=model.given)
    layer(X)
    same_bits(layer.flax_variables(), whole)


def test_a_tree_without_values_is_refused():
    shapes = jax.eval_shape(AutoEncoder().init, jax.random.key(0), X)
    with pytest.raises(MatchVariablesError, match="params/d/bias: a ShapeDtypeStruct"):
        FlaxLayer(AutoEncoder(), variables=shapes)


@pytest.mark.parametrize(
    "leaf",
    [np.array("text"), np.array([object()]), "text"],
    ids=["text of NumPy", "object", "text"],
)
def test_a_leaf_without_numbers_is_named(leaf):
    layer = FlaxLayer(AutoEncoder(), variables={"params": {"e": {"bias": leaf}}})
    with pytest.raises(MatchVariablesError, match=r"params/e/bias: .*, no numbers"):
        layer(X)


def test_python_numbers_are_given_in_the_dtypes_that_jax_gives_them():
    class Scaled(nn.Module):
        @nn.compact
        def __call__(self, x):
            n = self.variable("state", "n", lambda: jnp.zeros((), jnp.int32))
            return x * self.param("scale", nn.initializers.ones, ()) + n.value

    layer = FlaxLayer(Scaled(), variables={"params": {"scale": 2.0}, "state": {"n": 3}})
    np.testing.assert_array_equal(np.asarray(layer(X)), X * 2 + 3)
    assert layer.flax_variables()["state"]["n"].dtype == jnp.int32


@pytest.mark.law("C2")
@pytest.mark.parametrize("given", [False, True], ids=["from init", "given"])
def test_state_whose_dtype_a_call_widens_is_stored_in_the_wider_one(given, close):
    class Complex(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            n = self.variable("count", "n", lambda: jnp.zeros((), jnp.int32))
            n.value = n.value + 0.5
            return nn.BatchNorm(use_running_average=not train, dtype=jnp.complex64)(x)

    x = (X + 1j * X[::-1]).astype(np.complex64)
    variables = Complex().init(jax.random.key(0), x)
    layer = FlaxLayer(Complex(), variables=variables if given else None)
    layer.build_on(x)
    state = variables | {"params": layer.flax_variables()["params"]}
    for _ in range(2):
        y, updates = Complex().apply(state, x, train=True, mutable=["batch_stats", "count"])
        state |= updates
        close(layer(x, training=True), y)
    close(layer.flax_variables(), state)


def test_variables_that_map_variables_transforms_are_initialised_and_applied(same_results):
    class Doubled(nn.Module):
        @nn.compact
        def __call__(self, x):
            def double(variables):
                return jax.tree.map(lambda leaf: leaf * 2, variables)

            y = nn.map_variables(nn.Dense, "params", double, init=True)(2)(x)
            self.sow("intermediates", "y", y)
            return nn.BatchNorm(use_running_average=False)(y)

    layer = FlaxLayer(Doubled(), return_sown=("intermediates",))
    layer.build(X.shape)
    variables = layer.flax_variables()
    (y, sown) = layer(X, training=True)
    expected, updates = jax.jit(lambda v, x: Doubled().apply(v, x, mutable=True))(variables, X)
    same_results(y, expected)
    same_results(sown["intermediates"], updates["intermediates"])
    same_results(layer.flax_variables()["batch_stats"], updates["batch_stats"])
    same_results(layer.flax_variables()["params"], variables["params"])


@pytest.mark.law("B6")
@pytest.mark.parametrize("whole_tree", [True, False], ids=["whole", "a part"])
def test_no_initial_values_are_made_of_what_was_given(whole_tree):
    made = []

    def slow(key, shape, dtype=np.float32):
        del key
        result = jax.ShapeDtypeStruct(shape, dtype)
        return jax.pure_callback(lambda: made.append(shape) or np.zeros(shape, dtype), result)

    class Slow(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dense(2, kernel_init=slow)(x)
            return nn.Dense(3, kernel_init=slow)(x)

    given = {
        "Dense_0": {"kernel": np.ones((3, 2), np.float32), "bias": np.ones(2, np.float32)},
        "Dense_1": {"kernel": np.ones((2, 3), np.float32), "bias": np.ones(3, np.float32)},
    }
    if not whole_tree:
        del given["Dense_1"]
    FlaxLayer(Slow(), variables={"params": given}).build_on(X)
    assert made == ([] if whole_tree else [(2, 3)])


@pytest.mark.jax_only
@pytest.mark.law("B6")
def test_given_arrays_are_copied_once():
    given = {"params": {"kernel": jnp.ones((512, 512)), "bias": jnp.ones(512)}}
    before = sum(array.nbytes for array in jax.live_arrays())
    layer = FlaxLayer(nn.Dense(512), variables=given)
    layer.build_on(jax.ShapeDtypeStruct((1, 512), jnp.float32))
    held = sum(array.nbytes for array in jax.live_arrays()) - before
    assert held < 1.1 * sum(leaf.nbytes for leaf in jax.tree.leaves(given))


@pytest.mark.parametrize("length", [5, 1, 3])
def test_a_decoder_that_is_built_from_a_shape_keeps_the_given_cache(length, decoding, same_results):
    layer = FlaxLayer(Decoder(), variables=decoding)
    layer.build((2, length, 4))
    token = TOKENS[:, :1]
    expected = jax.jit(lambda x: Decoder().apply(decoding, x, mutable=["cache"])[0])(token)
    same_results(layer(token), expected)


def test_a_misspelt_name_is_an_error_in_a_build_from_a_shape_too():
    layer = FlaxLayer(nn.Dense(2), variables={"params": {"kernle": np.ones((3, 2), np.float32)}})
    with pytest.raises(MatchVariablesError, match="params/kernle: unknown"):
        layer.build((None, 3))


@pytest.mark.law("C2")
@pytest.mark.parametrize("given", ["params", "late", "both"])
def test_state_that_only_calls_make_may_be_given(given, same_results):
    class Late(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dense(2)(x)
            if self.is_initializing():
                return x
            calls = self.variable("calls", "n", lambda: jnp.zeros((), jnp.int32))
            calls.value += 1
            return x * calls.value

    params = {"params": Late().init(jax.random.key(0), X)["params"]}
    calls = {"calls": {"n": jnp.asarray(5, jnp.int32)}}
    tree = {"params": params, "late": calls, "both": params | calls}[given]
    layer = FlaxLayer(Late(), variables=tree)
    layer.build_on(X)
    state = layer.flax_variables()
    assert ("calls" in state) == (given != "params")
    for _ in range(2):
        expected, updates = jax.jit(lambda state: Late().apply(state, X, mutable=["calls"]))(state)
        state |= updates
        same_results(layer(X), expected)
    same_results(layer.flax_variables(), state)


def test_a_module_that_branches_on_values_takes_what_it_does_not_read(close):
    class Branching(nn.Module):
        @nn.compact
        def __call__(self, x):
            y = nn.Dense(2)(x)
            return y * 2 if float(x.sum()) > 0 else y

    given = Branching().init(jax.random.key(0), X) | {"kept": {"a": np.ones(3, np.float32)}}
    layer = FlaxLayer(Branching(), variables=given)
    close(np.asarray(layer(X)), np.asarray(Branching().apply(given, X)))
    close(layer.flax_variables(), jax.tree.map(jnp.asarray, given))


@pytest.mark.law("C6")
def test_a_dtype_that_the_call_refuses_is_an_error_that_names_its_path():
    class Draws(nn.Module):
        @nn.compact
        def __call__(self, x):
            key = self.variable("state", "key", lambda: jax.random.key(0))
            return x * jax.random.normal(key.value, x.shape)

    layer = FlaxLayer(Draws(), variables={"state": {"key": np.float32(3)}})
    with pytest.raises(MatchVariablesError, match="state/key: dtype float32, not key<fry>"):
        layer(X)
