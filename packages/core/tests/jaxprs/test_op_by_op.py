"""Evaluation op by op with less to compile: the bits of eager JAX (B2)."""

import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from flaxlayer_core.jaxprs import op_by_op as evaluating
from flaxlayer_core.jaxprs.op_by_op import OpByOpJaxpr

pytestmark = pytest.mark.law("B2")

initializers = jax.nn.initializers
INITIALIZERS = {
    "constant": initializers.constant(0.1),
    "delta_orthogonal": initializers.delta_orthogonal(),
    "glorot_normal": initializers.glorot_normal(),
    "he_uniform": initializers.he_uniform(),
    "lecun_normal": initializers.lecun_normal(),
    "normal": initializers.normal(0.02),
    "ones": initializers.ones,
    "orthogonal": initializers.orthogonal(0.7),
    "truncated_normal": initializers.truncated_normal(0.3),
    "uniform": initializers.uniform(0.05),
    "variance_scaling": initializers.variance_scaling(2.0, "fan_avg", "uniform"),
    "zeros": initializers.zeros,
}


def same_bits(ours, eager):
    assert isinstance(ours, jax.Array)
    assert (ours.shape, ours.dtype) == (eager.shape, eager.dtype)
    assert np.asarray(ours).tobytes() == np.asarray(eager).tobytes()


def program(function, *args):
    return OpByOpJaxpr(jax.make_jaxpr(function)(*args))


# JAX has no QR decomposition in half precision.
HALF = [name for name in sorted(INITIALIZERS) if "orthogonal" not in name]
CASES = [(name, "float32") for name in sorted(INITIALIZERS)]
CASES += [(name, dtype) for dtype in ("bfloat16", "float16") for name in HALF]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_an_initializer_has_the_bits_of_an_eager_call(name, dtype):
    key, make = jax.random.key(3), INITIALIZERS[name]
    (ours,) = program(lambda key: make(key, (3, 4, 5), dtype), key)(key)
    same_bits(ours, make(key, (3, 4, 5), dtype))


def test_arithmetic_in_double_precision_has_the_bits_of_an_eager_call(enable_x64):
    with enable_x64(True):
        key = jax.random.key(3)
        init = INITIALIZERS["lecun_normal"]
        (ours,) = program(lambda key: init(key, (7, 5), "float64"), key)(key)
        same_bits(ours, init(key, (7, 5), "float64"))


@pytest.mark.parametrize("scale", [1e-38, 1e-42])
def test_subnormal_numbers_become_what_eager_calls_make_of_them(scale):
    x = np.linspace(-1, 1, 64, dtype="float32") * np.float32(1e-30) * np.float32(1e8)
    function = lambda x: (x * np.float32(1e-20), x + np.float32(scale), jnp.sqrt(abs(x)))  # noqa: E731
    for ours, eager in zip(program(function, x)(x), function(jnp.asarray(x)), strict=True):
        same_bits(ours, eager)


@pytest.mark.parametrize("operation", [jnp.add, jnp.subtract, jnp.multiply, jnp.divide])
@pytest.mark.parametrize("shapes", [((), ()), ((997,), ()), ((), (997,)), ((997,), (997,))])
def test_each_operation_has_the_bits_of_an_eager_call(operation, shapes):
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=shape).astype("float32") for shape in shapes)
    (ours,) = program(lambda x, y: operation(x, y), left, right)(left, right)
    same_bits(ours, operation(jnp.asarray(left), jnp.asarray(right)))


def test_a_root_has_the_bits_of_an_eager_call():
    x = np.random.default_rng(0).uniform(size=997).astype("float32")
    (ours,) = program(jnp.sqrt, x)(x)
    same_bits(ours, jnp.sqrt(x))


def test_special_numbers_have_the_bits_of_an_eager_call():
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 3.4e38, 1e-38, -2.5], "float32")
    function = lambda x: (x * x, x / x, x - x, x / np.float32(3), jnp.sqrt(x))  # noqa: E731
    for ours, eager in zip(program(function, x)(x), function(jnp.asarray(x)), strict=True):
        assert np.array_equal(np.asarray(ours), np.asarray(eager), equal_nan=True)


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "float16"])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_a_small_number_type_has_the_bits_of_an_eager_call(name, dtype):
    x = np.array([0, 1, 2, 3, 5, 120, 127, 7], dtype)
    operation = getattr(jax.lax, name)
    function = lambda x: operation(x, x + x + jnp.ones((), dtype)).reshape(2, 4)  # noqa: E731
    (ours,) = program(function, x)(x)
    same_bits(ours, function(jnp.asarray(x)))


@pytest.fixture
def compiled(monkeypatch):
    """What was compiled; nothing is known from before, and one program is remembered."""
    found = []
    original = jax.stages.Lowered.compile
    monkeypatch.setattr(evaluating, "_COMPILED", evaluating._CompiledFunctions(1))
    monkeypatch.setattr(
        jax.stages.Lowered, "compile", lambda self: found.append(self) or original(self)
    )
    return found


def test_each_distinct_function_is_compiled_once(compiled):
    init = INITIALIZERS["lecun_normal"]
    run = program(lambda a, b: (init(a, (4, 4)), init(b, (4, 4)), init(b, (4, 2))), *keys())
    run.prepare()
    run(*keys())
    run(*keys())
    assert len(compiled) == 2


def test_a_program_serves_other_modules_while_it_is_among_the_last_ones(compiled):
    init = INITIALIZERS["lecun_normal"]
    for shape, count in (((4, 4), 1), ((4, 4), 1), ((4, 2), 2), ((4, 4), 3)):
        ours = program(lambda a, b, shape=shape: init(b, shape), *keys())(*keys())
        assert len(compiled) == count
        np.testing.assert_array_equal(ours[0], init(keys()[1], shape))


def keys():
    return jax.random.split(jax.random.key(0))


def test_integers_keys_and_several_results_pass_through():
    def function(key, n):
        quotient, remainder = jnp.divmod(n, 3)
        return jax.random.fold_in(key, n), quotient, remainder

    ours = program(function, jax.random.key(0), 0)(jax.random.key(5), 17)
    assert jax.random.key_data(ours[0]).tolist() == jax.random.key_data(
        jax.random.fold_in(jax.random.key(5), 17)
    ).tolist()  # fmt: skip
    assert [int(value) for value in ours[1:]] == [5, 2]


def test_a_captured_array_is_a_constant_of_the_program():
    table = jnp.arange(3.0)
    assert program(lambda x: table + x, 0.0)(2.0)[0].tolist() == [2, 3, 4]


def test_an_operation_with_a_sharding_is_left_to_jax():
    mesh = jax.make_mesh((1,), ("x",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    placed = jax.jit(lambda x: x * 2, out_shardings=sharding)
    (ours,) = program(lambda x: placed(x), jnp.ones(4))(jnp.ones(4))
    assert ours.sharding == sharding


def test_results_of_numpy_are_arrays_that_jax_owns():
    (ours,) = program(lambda: jnp.zeros(1000))()
    assert jax.jit(lambda x: x + 1, donate_argnums=0)(ours).sum() == 1000
    assert ours.is_deleted()


def test_the_program_is_a_jaxpr_of_the_public_extension_api():
    assert isinstance(jax.make_jaxpr(lambda x: x)(1.0), core.ClosedJaxpr)


@pytest.mark.law("B6")
@pytest.mark.skipif(
    jax.__version_info__ < (0, 5), reason="JAX 0.4 lets go of what it copied only later"
)
def test_of_a_result_there_is_no_array_of_numpy_beside_that_of_jax(monkeypatch):
    held, taken = [], evaluating._to_jax

    def noting(value, aval):
        made = taken(value, aval)
        if isinstance(value, np.ndarray) and value.size == 6:
            held.append(weakref.ref(value))
        alive.append(sum(reference() is not None for reference in held))
        return made

    alive = []
    monkeypatch.setattr(evaluating, "_to_jax", noting)
    outputs = program(lambda x: [x * float(number) for number in range(2, 8)], np.ones(6, "f4"))(
        np.ones(6, "f4")
    )
    assert [int(array[0]) for array in outputs] == [*range(2, 8)]
    assert len(held) == 6
    assert max(alive) <= 2
