"""What TensorFlow runs of JAX, and what is refused at build (K2, K4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import tensorflow as tf

from flaxlayer import FlaxLayer
from flaxlayer.backends.tensorflow.gradients import DifferentiableFunction
from flaxlayer.backends.tensorflow.recording import recording
from flaxlayer_core import LowerModuleError


class Applies(nn.Module):
    """Applies a function to a product of its input and a parameter."""

    function: object

    @nn.compact
    def __call__(self, x):
        return self.function(x * self.param("scale", nn.initializers.ones, ()))


def matrices():
    square = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)
    return square @ square.transpose(0, 2, 1) + 2 * np.eye(4, dtype=np.float32)


MESH = jax.sharding.Mesh(np.array(jax.devices("cpu")[:1]), ("devices",))
TWO = jax.sharding.AbstractMesh((2,), ("devices",), (jax.sharding.AxisType.Auto,))
ON_DEVICES = jax.sharding.NamedSharding(MESH, jax.sharding.PartitionSpec("devices"))


def sharded_scan(x):
    def step(carry, row):
        carry = jax.lax.with_sharding_constraint(carry + row, ON_DEVICES)
        return carry, carry * row

    return jax.lax.scan(step, jax.lax.with_sharding_constraint(x[:, 0], ON_DEVICES), x.T)[1]


X = np.linspace(0.1, 0.9, 12, dtype=np.float32).reshape(3, 4)
ELEMENTWISE = {
    "erf": jax.lax.erf,
    "erfc": jax.lax.erfc,
    "asinh": jnp.arcsinh,
    "acosh": lambda x: jnp.arccosh(x + 1),
    "atanh": jnp.arctanh,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "tan": jnp.tan,
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "lgamma": jax.lax.lgamma,
    "cumsum": lambda x: jnp.cumsum(x, 1),
    "sort": lambda x: jnp.sort(x, 1),
    "top_k": lambda x: jax.lax.top_k(x, 2),
    "fft": lambda x: jnp.abs(jnp.fft.rfft(x)),
    "scan": lambda x: jax.lax.scan(lambda c, t: (c + t, c * t), x[:, 0], x.T)[1],
    "sharding": sharded_scan,
    "cond": lambda x: jax.lax.cond(x.sum() > 1, jnp.sin, jnp.cos, x),
}
LINEAR_ALGEBRA = {
    "cholesky": jnp.linalg.cholesky,
    "inv": jnp.linalg.inv,
    "det": jnp.linalg.det,
    "qr": lambda x: jnp.abs(jnp.linalg.qr(x)[1]),
    "eigh": lambda x: jnp.linalg.eigh(x)[0],
    "svd": lambda x: jnp.linalg.svd(x, compute_uv=False),
}


def values_and_gradient(call, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = call(x)
        loss = sum(tf.reduce_sum(y**2) for y in tf.nest.flatten(outputs) if y.dtype == tf.float32)
    return tf.nest.flatten(outputs), tape.gradient(loss, x)


def raw_values_and_gradient(function, x):
    def loss(x):
        leaves = jax.tree.leaves(function(x))
        return sum((y**2).sum() for y in leaves if y.dtype == jnp.float32), leaves

    (_, leaves), gradient = jax.value_and_grad(loss, has_aux=True)(jnp.asarray(x))
    return leaves, gradient


@pytest.mark.law("K2")
@pytest.mark.parametrize(
    "name",
    [
        *ELEMENTWISE,
        "cholesky",
        "svd",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("inv", "det", "qr", "eigh")),
    ],
)
def test_an_operation_over_an_unknown_batch_gives_what_jax_gives(name):
    function, x = (
        (ELEMENTWISE[name], X) if name in ELEMENTWISE else (LINEAR_ALGEBRA[name], matrices())
    )
    layer = FlaxLayer(Applies(function))
    tensor = keras.Input(x.shape[1:])
    layer(tensor)
    run = tf.function(lambda x: values_and_gradient(layer, x))
    call = run.get_concrete_function(tf.TensorSpec((None, *x.shape[1:])))
    outputs, gradient = call(tf.constant(x))
    expected, slope = raw_values_and_gradient(function, x)
    for left, right in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=2e-3, atol=1e-4)


@pytest.mark.law("K2")
@pytest.mark.parametrize(
    ("padding", "kernel", "stride"),
    [
        ("SAME", 3, 2),
        ("VALID", 5, 3),
        *(
            pytest.param(padding, *sizes, marks=pytest.mark.long)
            for padding in ("SAME", "VALID")
            for sizes in ((3, 1), (2, 2))
        ),
        pytest.param("VALID", 3, 2, marks=pytest.mark.long),
        pytest.param("SAME", 5, 3, marks=pytest.mark.long),
    ],
)
def test_strided_convolutions_over_unknown_sizes_have_gradients(padding, kernel, stride):
    module = nn.Conv(2, (kernel, kernel), strides=stride, padding=padding)
    layer = FlaxLayer(module)
    layer.build((None, None, None, 1))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 1))])
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.sin(layer(x)))
        return tape.gradient(loss, [x, *(w.value for w in layer.trainable_weights)])

    def loss(x, params):
        return jnp.sin(module.apply({"params": params}, x)).sum()

    for size in (5, 8):
        x = np.random.default_rng(size).normal(size=(2, size, size + 1, 1)).astype(np.float32)
        expected = jax.grad(loss, argnums=(0, 1))(x, layer.flax_variables()["params"])
        for left, right in zip(run(x), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4)


REFUSED = {
    "pure_callback": lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x),
    "debug_callback": lambda x: (jax.debug.callback(lambda y: None, x), x)[1],
    "sdy.manual_computation": lambda x: jax.shard_map(
        jnp.sin, mesh=TWO, in_specs=ON_DEVICES.spec, out_specs=ON_DEVICES.spec
    )(x[0]),
    "lapack_sgeev": lambda x: jnp.linalg.eig(x[0, 0] * jnp.ones((2, 2)))[0],
}


@pytest.mark.law("K4")
@pytest.mark.parametrize("name", sorted(REFUSED))
@pytest.mark.parametrize("how", ["eagerly", "symbolically", "by shape"])
def test_an_operation_that_tensorflow_lacks_is_refused_at_build_by_name(name, how):
    layer = FlaxLayer(Applies(REFUSED[name]), name="mine")
    with pytest.raises(LowerModuleError) as caught:
        if how == "eagerly":
            layer(X)
        elif how == "symbolically":
            layer(keras.Input((4,)))
        else:
            layer.build((3, 4))
    assert name.split("_callback")[0] in caught.value.found
    assert jax.__version__ in caught.value.found
    assert tf.__version__ in caught.value.expected
    assert "'mine'" in caught.value.failed
    assert not layer.weights


@pytest.mark.law("K4")
def test_a_gradient_that_tensorflow_lacks_is_refused_at_build():
    @jax.custom_vjp
    def passes(x):
        return x

    def backward(_, slope):
        jax.debug.callback(lambda value: None, slope)
        return (slope,)

    passes.defvjp(lambda x: (x, None), backward)
    with pytest.raises(LowerModuleError, match="gradient of Layer"):
        FlaxLayer(Applies(passes))(X)


@pytest.mark.law("K4")
def test_a_size_that_no_symbol_can_stand_for_is_explained():
    shuffles = Applies(lambda x: x[:, : max(1, int(x.shape[0] // 2))] * 1.0)
    layer = FlaxLayer(shuffles)
    np.testing.assert_allclose(layer(X), X[:, :1])
    with pytest.raises(Exception, match=r"cannot run on inputs of unknown size") as caught:
        tf.function(lambda x: layer(x)).get_concrete_function(tf.TensorSpec((None, 4)))
    assert "float32[?,4]" in str(caught.value)


@pytest.mark.law("K2")
def test_tensors_without_rank_and_ragged_tensors_are_refused():
    layer = FlaxLayer(nn.Dense(2))
    layer(X)
    with pytest.raises(Exception, match="unknown rank"):
        tf.function(lambda x: layer(x)).get_concrete_function(tf.TensorSpec(None))
    with pytest.raises(Exception, match="not dense"):
        layer(tf.ragged.constant([[1.0], [2.0, 3.0]]))


class Drops(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(4, (3,))(x)
        return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(x))


def platforms_of(layer, x):
    graph = tf.function(layer).get_concrete_function(x).graph
    calls = [operation for operation in graph.get_operations() if operation.type == "XlaCallModule"]
    return [call.get_attr("platforms") for call in calls]


@pytest.mark.law("K2")
def test_a_module_is_lowered_for_the_platforms_that_it_is_given():
    layer = FlaxLayer(Drops(), native_serialization_platforms=("cpu", "cuda"), seed=1)
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    layer(x)
    assert platforms_of(layer, tf.constant(x)) == [[b"CPU", b"CUDA"]]
    rngs = layer.peek_rngs(training=True)

    def raw(params):
        return Drops().apply({"params": params}, x, train=True, rngs=rngs)

    with tf.GradientTape() as tape:
        found = layer(x, training=True)
        total = tf.reduce_sum(found**2)
    params = layer.flax_variables()["params"]
    np.testing.assert_allclose(found, raw(params), rtol=1e-5, atol=1e-5)
    gradients = jax.grad(lambda params: (raw(params) ** 2).sum())(params)
    pairs = zip(
        tape.gradient(total, layer.trainable_variables), layer.trainable_variables, strict=True
    )
    for gradient, variable in pairs:
        module, name = variable.path.partition("/params/")[2].split("/")
        np.testing.assert_allclose(gradient, gradients[module][name], rtol=1e-4, atol=1e-5)


@pytest.mark.law("K2")
def test_a_module_for_another_platform_does_not_run_on_this_one():
    layer = FlaxLayer(Drops(), native_serialization_platforms=("tpu",))
    with pytest.raises(tf.errors.OpError, match=r"(?i)platform"):
        layer(np.ones((2, 5, 3), np.float32))


def test_a_recorded_program_has_in_it_what_the_graph_knows():
    weight = np.arange(8, dtype=np.float32).reshape(4, 2)
    forms = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in (weight, X)]
    product = DifferentiableFunction(lambda w, x: [x @ w], forms, title="A product")

    def operations():
        run = tf.function(lambda x: product([tf.constant(weight), x]))
        return {
            each.type for each in run.get_concrete_function(tf.constant(X)).graph.get_operations()
        }

    with recording() as record:
        assert "PyFunc" in operations()
        np.testing.assert_allclose(product([tf.constant(weight), tf.constant(X)])[0], X @ weight)
    assert "XlaCallModule" in operations()
    (program,) = record.programs.values()
    assert [array.shape for array in program.inputs] == [X.shape]
    np.testing.assert_allclose(program.function(X)[0], X @ weight)


@pytest.mark.law("K4")
def test_sizes_that_must_agree_are_named_where_they_do_not():
    class Add(nn.Module):
        def __call__(self, a, b):
            return a + b

    layer = FlaxLayer(Add())
    unknown = tf.TensorSpec((None, None, 3), tf.float32)
    run = tf.function(layer, input_signature=[unknown, unknown])
    assert run(tf.ones((2, 4, 3)), tf.ones((2, 4, 3))).shape == (2, 4, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)Add.*axis 1 of array 0.*K4"):
        run(tf.ones((2, 4, 3)), tf.ones((2, 5, 3)))
