"""Parameters that take random keys."""

import inspect
import typing
from typing import Any, Optional

import jax
import pytest
from flax import nnx

from flaxlayer_core.errors import CallArgumentError
from flaxlayer_core.modules.key_arguments import KeyArgument, find_key_arguments, make_keys

pytestmark = pytest.mark.law("R5")


def found(function, **rng_args):
    arguments = find_key_arguments(inspect.signature(function), rng_args)
    return [(argument.name, argument.kind, argument.stream) for argument in arguments]


@pytest.mark.parametrize(
    "annotation",
    [
        nnx.Rngs,
        nnx.Rngs | None,
        Optional[nnx.Rngs],  # noqa: UP045 - what people write
        nnx.Rngs | nnx.RngStream | jax.Array | None,
        typing.Annotated[nnx.Rngs | None, "keys"],
        "nnx.Rngs",
        "nnx.Rngs | None",
        "rnglib.Rngs | rnglib.RngStream | jax.Array | None",
        "Optional[nnx.Rngs]",
        "typing.Union[None, 'nnx.Rngs']",
        Optional["nnx.Rngs"],
    ],
)
def test_an_annotation_tells_the_streams_of_flax(annotation):
    def call(x, *, streams=None): ...

    call.__annotations__["streams"] = annotation
    assert found(call) == [("streams", "rngs", None)]


def test_a_single_stream_has_the_name_of_its_parameter():
    def call(x, noise: nnx.RngStream, *, rngs: "nnx.RngStream | None" = None): ...

    assert found(call) == [("noise", "stream", "noise"), ("rngs", "stream", "default")]
    assert found(call, noise="dropout")[0] == ("noise", "stream", "dropout")


@pytest.mark.parametrize("annotation", [inspect.Parameter.empty, Any, object, "Any"])
def test_the_name_rngs_is_enough(annotation):
    def call(x, rngs=None): ...

    if annotation is not inspect.Parameter.empty:
        call.__annotations__["rngs"] = annotation
    assert found(call) == [("rngs", "rngs", None)]


@pytest.mark.parametrize("annotation", [dict, "dict[str, jax.Array]", list[nnx.Rngs], "Rate", "("])
def test_what_is_annotated_as_something_else_is_left_alone(annotation):
    def call(x, rngs=None, streams=None): ...

    call.__annotations__.update(rngs=annotation, streams=annotation)
    assert found(call) == []


def test_what_cannot_be_given_by_keyword_is_left_alone():
    def call(x, noise: nnx.Rngs, /, *args: nnx.Rngs, **rngs): ...

    assert found(call) == []


def test_a_name_that_the_method_has_not_is_an_error():
    def call(x, key=None): ...

    assert found(call, key="noise") == [("key", "key", "noise")]
    with pytest.raises(CallArgumentError, match=r"(?s)Net\.__call__ has no argument.*x, key.*kye"):
        find_key_arguments(inspect.signature(call), {"kye": "noise"}, title="Net.__call__")


def test_only_a_required_parameter_gets_a_key_that_nothing_is_drawn_from():
    arguments = [
        KeyArgument("key", "key", "noise", required=True),
        KeyArgument("other", "key", "noise", required=False),
        KeyArgument("rngs", "rngs", None, required=False),
    ]
    assert list(make_keys(arguments, {}, optional=())) == ["key"]
    assert list(make_keys(arguments, {})) == ["key", "rngs"]
    key = jax.random.key(3)
    made = make_keys(arguments, {"noise": key})
    assert made["key"] is made["other"] is key
    raw = nnx.Rngs(noise=key)
    assert jax.random.key_data(made["rngs"].noise()).tolist() == (
        jax.random.key_data(raw.noise()).tolist()
    )


def test_an_optional_parameter_that_is_named_gets_a_key_without_a_stream():
    argument = KeyArgument("key", "key", "noise", required=False)
    assert make_keys([argument], {}) == {}
    (made,) = make_keys([argument], {}, optional=["key"]).values()
    assert jax.dtypes.issubdtype(made.dtype, jax.dtypes.prng_key)
