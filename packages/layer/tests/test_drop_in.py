"""`FlaxLayer` stands in for `keras.layers.FlaxLayer`: both run side by side here.

What is compared is what the documentation of the reference promises: `module`, `method`,
`variables`, the argument names `inputs` and `training`, the wrapper function, and every kind of
Keras model.
"""

import gc
import weakref

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax.core import freeze

from flaxlayer import FlaxLayer

Reference = keras.layers.FlaxLayer
X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32)
IMAGES = np.random.default_rng(2).normal(size=(4, 8, 8, 1)).astype(np.float32)


class Documented(nn.Module):
    """The first example in the documentation of the reference, smaller."""

    @nn.compact
    def __call__(self, inputs):
        x = nn.Conv(features=3, kernel_size=(3, 3))(inputs)
        x = nn.relu(x)
        x = nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = x.reshape((x.shape[0], -1))
        x = nn.Dense(features=5)(x)
        x = nn.relu(x)
        return nn.softmax(nn.Dense(features=2)(x))


class Forward(nn.Module):
    """The second example: several inputs and a flag of another name."""

    @nn.compact
    def forward(self, input1, input2, deterministic):
        x = nn.Dense(3)(input1) + nn.Dense(3)(input2)
        x = nn.BatchNorm(use_running_average=deterministic, momentum=0.5)(x)
        return nn.Dense(2)(x)


def wrapper(module, inputs, training):
    input1, input2 = inputs
    return module.forward(input1, input2, not training)


class Trained(nn.Module):
    @nn.compact
    def __call__(self, inputs, training=False):
        x = nn.Dense(5)(inputs)
        x = nn.BatchNorm(use_running_average=not training, momentum=0.5)(x)
        return nn.Dense(2)(nn.relu(x))

    def hidden(self, inputs):
        return self(inputs)


class Dropping(nn.Module):
    @nn.compact
    def __call__(self, inputs, training):
        return nn.Dropout(0.5, deterministic=not training)(nn.Dense(4)(inputs))


def variables_of(module, inputs=X, **kwargs):
    variables = module.init(jax.random.key(3), inputs, **kwargs)
    # NumPy arrays: Keras's trainer donates the buffers that the reference shares with its caller.
    return jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), variables)


def pair(module, **kwargs):
    """The reference and this layer on the same variables."""
    return Reference(module, **kwargs), FlaxLayer(module, **kwargs)


def both(layers, build_model):
    return [build_model(layer) for layer in layers]


def functional(layer):
    tensor = keras.Input((4,))
    return keras.Model(tensor, layer(tensor))


def sequential(layer):
    return keras.Sequential([keras.Input((4,)), layer])


class Subclassed(keras.Model):
    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, x, training=False):
        return self.layer(x, training=training)


def subclassed(layer):
    model = Subclassed(layer)
    model(X)
    return model


KINDS = [functional, sequential, subclassed]
BAKES_IN_SIZES = pytest.mark.jax_only("on TensorFlow the reference takes its first batch size only")


def fit(model, epochs=3, **kwargs):
    kwargs = {"batch_size": 4, "shuffle": False, "verbose": 0, "epochs": epochs, **kwargs}
    return model.fit(X, Y, **kwargs)


def close(ours, theirs, rtol=1e-6, atol=1e-7):
    for left, right in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        left, right = np.asarray(left), np.asarray(right)
        assert (left.shape, left.dtype) == (right.shape, right.dtype)
        np.testing.assert_allclose(left, right, rtol=rtol, atol=atol)


def weights_by_name(layer):
    return jax.tree.map(np.asarray, (layer.params, layer.state))


@BAKES_IN_SIZES
def test_the_first_documented_example_computes_the_same():
    module = Documented()
    reference, own = pair(module, variables=variables_of(module, IMAGES))
    close(own(IMAGES), reference(IMAGES))
    models = [
        keras.Sequential([keras.Input((8, 8, 1)), layer]).predict(IMAGES, verbose=0)
        for layer in (own, reference)
    ]
    close(*models)


@pytest.mark.parametrize("training", [False, True])
def test_the_wrapper_function_of_the_second_documented_example_computes_the_same(training):
    module = Forward()
    inputs = (X, X[:, :2])
    variables = variables_of(module, inputs, method=wrapper, training=True)
    reference, own = pair(module, method=wrapper, variables=variables)
    close(own(inputs, training=training), reference(inputs, training=training))
    close(own.params, reference.params)
    close(own.state, reference.state)


def test_the_documented_wrapper_works_in_a_functional_model():
    module = Forward()
    inputs = (X, X[:, :2])
    variables = variables_of(module, inputs, method=wrapper, training=True)
    predictions = []
    for layer in pair(module, method=wrapper, variables=variables):
        tensors = (keras.Input((4,)), keras.Input((2,)))
        model = keras.Model(tensors, layer(tensors))
        predictions.append(model.predict(inputs, verbose=0))
    close(*predictions)


@pytest.mark.parametrize("method", [None, Trained.__call__, Trained.hidden, "bound", wrapper])
def test_a_method_may_be_none_unbound_bound_or_a_function(method):
    module = Forward() if method is wrapper else Trained()
    inputs = (X, X[:, :2]) if method is wrapper else X
    given = module.hidden if method == "bound" else method
    kwargs = {"method": wrapper, "training": True} if method is wrapper else {}
    variables = variables_of(module, inputs, **kwargs)
    reference, own = pair(module, method=given, variables=variables)
    close(own(inputs), reference(inputs))


@pytest.mark.parametrize("form", [dict, freeze])
def test_given_variables_are_params_and_state_as_in_the_reference(form):
    module = Trained()
    variables = variables_of(module)
    # The reference itself fails on a FrozenDict when state comes back.
    reference, own = (
        Reference(module, variables=variables),
        FlaxLayer(module, variables=form(variables)),
    )
    for layer in (reference, own):
        layer(X)
    close(own.params, reference.params)
    close(own.state, reference.state)
    close({**own.params, **own.state}, variables)
    assert jax.tree.structure(own.params) == jax.tree.structure(dict(reference.params))


@pytest.mark.parametrize(
    "kind", [functional, sequential, pytest.param(subclassed, marks=BAKES_IN_SIZES)]
)
def test_training_gives_the_weights_and_the_state_that_the_reference_gives(kind):
    module = Trained()
    layers = pair(module, variables=variables_of(module))
    histories = []
    for model in both(layers, kind):
        model.compile(keras.optimizers.SGD(0.05), "mse")
        histories.append(fit(model).history["loss"])
    reference, own = map(weights_by_name, layers)
    close(own, reference, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-5)


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("kind", KINDS)
def test_models_have_the_same_summary_counts_and_output_shape(kind):
    models = both(pair(Trained()), kind)
    texts = []
    for model in models:
        lines = []
        model.summary(print_fn=lines.append)
        texts.append("\n".join(lines).split("Total params")[1])
    assert texts[0] == texts[1]
    assert models[0].count_params() == models[1].count_params()
    assert [len(m.trainable_variables) for m in models] == [6, 6]
    if kind is not subclassed:
        assert models[0].output_shape == models[1].output_shape == (None, 2)


def test_a_summary_after_a_call_with_static_arguments_shows_the_output_shape():
    class Scaled(nn.Module):
        @nn.compact
        def __call__(self, x, scale, mode="plain"):
            return nn.Dense(3)(x) * scale if mode == "scaled" else x

    layer = FlaxLayer(Scaled())
    layer(X, 2.0, mode="scaled")
    assert layer.compute_output_shape(**layer._build_shapes_dict) == (8, 3)


def test_the_data_of_the_first_call_does_not_live_on_in_the_layer():
    layer, x = FlaxLayer(Trained()), jnp.array(X)
    layer(x)
    pointer = weakref.ref(x)
    del x
    gc.collect()
    assert pointer() is None


def test_weights_have_the_order_of_the_reference():
    module = Trained()
    reference, own = pair(module, variables=variables_of(module))
    for layer in (reference, own):
        layer(X)
    own.set_weights(reference.get_weights())
    close(own.get_weights(), reference.get_weights())
    close(own(X), reference(X))


@pytest.mark.jax_only("on TensorFlow the reference drops the same units at each call")
def test_dropout_follows_the_training_argument_as_in_the_reference():
    reference, own = pair(Dropping(), variables=variables_of(Dropping(), training=False))
    close(own(X), reference(X))
    for layer in (reference, own):
        dropped = np.asarray(layer(X, training=True)) == 0
        assert 0.1 < dropped.mean() < 0.9
        assert not np.array_equal(dropped, np.asarray(layer(X, training=True)) == 0)


@pytest.mark.usefixtures("reference")
def test_initial_weights_have_the_statistics_of_the_module_s_initializers():
    module = nn.Dense(64)
    reference, own = pair(module)
    wide = np.ones((1, 256), np.float32)
    deviations = []
    for layer in (reference, own):
        layer(wide)
        deviations.append(layer.params["params"]["kernel"].numpy().std())
    np.testing.assert_allclose(deviations, 1 / 16, rtol=0.05)


@pytest.mark.parametrize(
    "arguments",
    [
        ((None,), {}),
        (("text",), {}),
        ((Trained(),), {"method": "absent"}),
        ((Trained(),), {"method": 3}),
        ((Trained(),), {"unknown": 1}),
    ],
    ids=str,
)
def test_what_the_reference_refuses_to_make_is_refused_with_a_type_or_value_error(arguments):
    args, kwargs = arguments
    with pytest.raises((TypeError, ValueError, AttributeError)):
        Reference(*args, **kwargs)
    with pytest.raises((TypeError, ValueError)):
        FlaxLayer(*args, **kwargs)


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize(
    "call",
    [
        lambda layer: layer(X, X),
        lambda layer: layer(X, other=1),
        lambda layer: layer(),
    ],
)
def test_a_call_that_the_reference_refuses_is_refused_with_a_type_or_value_error(call):
    for cls in (Reference, FlaxLayer):
        with pytest.raises((TypeError, ValueError)):
            call(cls(Trained()))


def test_an_error_inside_a_sequential_model_keeps_its_explanation():
    with pytest.raises((TypeError, ValueError)) as caught:
        keras.Sequential([keras.Input((4,)), FlaxLayer(Forward(), method="forward")])
    # Keras 3.6 raises an error of its own about the signature of `call` on top of it.
    error = caught.value if isinstance(caught.value, TypeError) else caught.value.__context__
    assert "missing a required argument: 'input2'" in str(error)


def test_variables_that_do_not_fit_are_refused():
    wrong = {"params": {"Dense_9": {"bias": np.ones(3, np.float32)}}}
    for cls in (Reference, FlaxLayer):
        with pytest.raises(Exception, match=r"Dense"):
            cls(Trained(), variables=wrong)(X)


@pytest.mark.usefixtures("reference")
def test_state_that_changes_its_structure_is_a_value_error():
    class Grows(nn.Module):
        @nn.compact
        def __call__(self, inputs):
            kept = self.variable("memory", "kept", lambda: jnp.zeros((2,)))
            if not self.is_initializing():
                kept.value = {"longer": jnp.zeros((2,))}
            return inputs

    said = r"[Ss]tructure|memory"
    # In JAX 0.4 the reference ends in an error of JAX's that names the trees alone.
    for cls, message in ((Reference, said + "|Expected dict"), (FlaxLayer, said)):
        with pytest.raises(ValueError, match=message):
            cls(Grows())(X)


# Keras around the layer.


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float32"])
def test_a_model_trains_under_a_mixed_policy_and_keeps_its_weights_in_float32(policy):
    model = functional(FlaxLayer(Trained(), dtype=policy))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    losses = fit(model, epochs=6).history["loss"]
    assert losses[-1] < losses[0]
    assert {variable.dtype for variable in model.weights} == {"float32"}


def test_early_stopping_restores_the_best_weights():
    model = functional(FlaxLayer(Trained()))
    model.compile(keras.optimizers.SGD(30.0), "mse")
    seen = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((logs["val_loss"], model.get_weights()))
    )
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    fit(model, epochs=6, validation_data=(X, Y), callbacks=[keep, stop])
    best = min(
        ((loss, weights) for loss, weights in seen if np.isfinite(loss)), key=lambda item: item[0]
    )
    close(model.get_weights(), best[1], rtol=0, atol=0)


@pytest.mark.parametrize("weights_only", [False, True])
def test_model_checkpoint_writes_what_loads_again(weights_only, tmp_path):
    path = tmp_path / ("m.weights.h5" if weights_only else "m.keras")
    model = functional(FlaxLayer(Trained()))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    saver = keras.callbacks.ModelCheckpoint(path, save_weights_only=weights_only)
    fit(model, epochs=2, callbacks=[saver])
    if weights_only:
        again = functional(FlaxLayer(Trained()))
        again.load_weights(path)
    else:
        again = keras.models.load_model(path)
    close(again.get_weights(), model.get_weights(), rtol=0, atol=0)


def test_stateless_call_is_pure_and_returns_the_new_state(compiled):
    layer = FlaxLayer(Trained())
    layer(X)
    before = weights_by_name(layer)
    trainable = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]
    step = compiled(lambda t, n, x: layer.stateless_call(t, n, x, training=True))
    outputs, changed = step(trainable, others, X)
    expected, updates = Trained().apply(
        layer.flax_variables(), X, training=True, mutable=["batch_stats"]
    )
    close(outputs, expected, rtol=1e-5, atol=1e-6)
    named = dict(zip([v.path for v in layer.non_trainable_variables], changed, strict=True))
    mean = next(value for path, value in named.items() if path.endswith("BatchNorm_0/mean"))
    close(mean, updates["batch_stats"]["BatchNorm_0"]["mean"], rtol=1e-5)
    close(weights_by_name(layer), before, rtol=0, atol=0)


class CustomStep(keras.Model):
    """A model with the JAX train step of Keras's guide."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, x, training=False):
        return self.layer(x, training=training)

    def compute_loss_and_updates(self, trainable, non_trainable, x, y):
        predicted, non_trainable = self.stateless_call(trainable, non_trainable, x, training=True)
        return self.compute_loss(x, y, predicted), (predicted, non_trainable)

    def train_step(self, state, data):
        trainable, non_trainable, optimizer, metrics = state
        x, y = data
        gradient = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (loss, (_, non_trainable)), gradients = gradient(trainable, non_trainable, x, y)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return {"loss": loss}, (trainable, non_trainable, optimizer, metrics)


@pytest.mark.jax_only("the train step of Keras's guide for JAX")
def test_a_custom_train_step_trains_as_the_built_in_one():
    variables = variables_of(Trained())
    layers = [FlaxLayer(Trained(), variables=variables) for _ in range(2)]
    for layer, kind in zip(layers, (CustomStep, Subclassed), strict=True):
        model = kind(layer)
        model(X)
        model.compile(keras.optimizers.SGD(0.05), "mse")
        fit(model)
    close(*map(weights_by_name, layers), rtol=1e-5, atol=1e-6)


def test_an_activity_regularizer_adds_its_loss_as_in_the_reference():
    module = Trained()
    layers = pair(module, variables=variables_of(module), activity_regularizer="l2")
    for layer in layers:
        layer(X)
    np.testing.assert_allclose(layers[1].losses[0], layers[0].losses[0], rtol=1e-6)


@pytest.mark.usefixtures("reference")
def test_a_layer_is_built_from_a_shape_as_the_reference_is():
    layers = pair(Trained())
    for layer in layers:
        layer.build((None, 4))
    shapes = [jax.tree.map(lambda v: tuple(v.shape), (la.params, la.state)) for la in layers]
    assert shapes[0] == shapes[1]


@pytest.mark.usefixtures("reference")
def test_a_frozen_layer_keeps_its_params_in_fit_as_in_the_reference():
    for layer in pair(Trained()):
        layer.trainable = False
        model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2)])
        before = jax.tree.map(np.asarray, layer.params)
        model.compile(keras.optimizers.SGD(0.05), "mse")
        fit(model)
        close(layer.params, before, rtol=0, atol=0)


@pytest.mark.jax_only("of jax.grad through stateless_call; backends/tensorflow has those of a tape")
def test_gradients_of_a_training_step_are_those_of_raw_apply():
    layer = FlaxLayer(Trained())
    layer(X)
    variables = layer.flax_variables()
    trainable = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]

    def loss(values):
        outputs, _ = layer.stateless_call(values, others, X, training=True)
        return ((outputs - Y) ** 2).mean()

    def raw_loss(params):
        tree = {**variables, "params": params}
        outputs, _ = Trained().apply(tree, X, training=True, mutable=["batch_stats"])
        return ((outputs - Y) ** 2).mean()

    expected = jax.tree.leaves(jax.grad(raw_loss)(variables["params"]))
    close(jax.grad(loss)(trainable), expected, rtol=1e-5, atol=1e-6)


def test_platforms_of_tensorflow_are_taken_checked_and_kept():
    layer = FlaxLayer(Documented(), native_serialization_platforms=["cpu", "tpu"])
    layer(IMAGES)
    again = FlaxLayer.from_config(layer.get_config())
    assert layer.platforms == again.platforms == ("cpu", "tpu")
    assert FlaxLayer(Documented()).platforms == ("cpu",)
    for platforms in ([], ["gpu"], "cpu"):
        with pytest.raises(TypeError, match="native_serialization_platforms"):
            FlaxLayer(Documented(), native_serialization_platforms=platforms)
