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
from packages.layer.tests.reference_pairs import (
    BAKES_IN_SIZES,
    BESIDE_THE_REFERENCE,
    IMAGES,
    KINDS,
    Documented,
    Dropping,
    Forward,
    Reference,
    Trained,
    X,
    both,
    close,
    pair,
    subclassed,
    variables_of,
    weights_by_name,
    wrapper,
)


@BESIDE_THE_REFERENCE
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


@BESIDE_THE_REFERENCE
@pytest.mark.parametrize("training", [False, True])
def test_the_wrapper_function_of_the_second_documented_example_computes_the_same(training):
    module = Forward()
    inputs = (X, X[:, :2])
    variables = variables_of(module, inputs, method=wrapper, training=True)
    reference, own = pair(module, method=wrapper, variables=variables)
    close(own(inputs, training=training), reference(inputs, training=training))
    close(own.params, reference.params)
    close(own.state, reference.state)


@BESIDE_THE_REFERENCE
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


@BESIDE_THE_REFERENCE
@pytest.mark.parametrize("method", [None, Trained.__call__, Trained.hidden, "bound", wrapper])
def test_a_method_may_be_none_unbound_bound_or_a_function(method):
    module = Forward() if method is wrapper else Trained()
    inputs = (X, X[:, :2]) if method is wrapper else X
    given = module.hidden if method == "bound" else method
    kwargs = {"method": wrapper, "training": True} if method is wrapper else {}
    variables = variables_of(module, inputs, **kwargs)
    reference, own = pair(module, method=given, variables=variables)
    close(own(inputs), reference(inputs))


@BESIDE_THE_REFERENCE
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


@BESIDE_THE_REFERENCE
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


@BESIDE_THE_REFERENCE
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


@BESIDE_THE_REFERENCE
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


@BESIDE_THE_REFERENCE
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


@BESIDE_THE_REFERENCE
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


@BESIDE_THE_REFERENCE
def test_variables_that_do_not_fit_are_refused():
    wrong = {"params": {"Dense_9": {"bias": np.ones(3, np.float32)}}}
    for cls in (Reference, FlaxLayer):
        with pytest.raises(Exception, match=r"Dense"):
            cls(Trained(), variables=wrong)(X)


@BESIDE_THE_REFERENCE
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


@BESIDE_THE_REFERENCE
@pytest.mark.usefixtures("reference")
def test_a_layer_is_built_from_a_shape_as_the_reference_is():
    layers = pair(Trained())
    for layer in layers:
        layer.build((None, 4))
    shapes = [jax.tree.map(lambda v: tuple(v.shape), (la.params, la.state)) for la in layers]
    assert shapes[0] == shapes[1]


def test_platforms_of_tensorflow_are_taken_checked_and_kept():
    layer = FlaxLayer(Documented(), native_serialization_platforms=["cpu", "tpu"])
    layer(IMAGES)
    again = FlaxLayer.from_config(layer.get_config())
    assert layer.platforms == again.platforms == ("cpu", "tpu")
    assert FlaxLayer(Documented()).platforms == ("cpu",)
    for platforms in ([], ["gpu"], "cpu"):
        with pytest.raises(TypeError, match="native_serialization_platforms"):
            FlaxLayer(Documented(), native_serialization_platforms=platforms)
