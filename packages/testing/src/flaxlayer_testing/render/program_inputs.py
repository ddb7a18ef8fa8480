"""The text of a program that makes the arguments of a case (T1)."""

from __future__ import annotations

from flaxlayer_testing.render.method_ends import input_names
from flaxlayer_testing.spec.extras import EXTRA_KINDS, GIVEN_ARRAY, Given
from flaxlayer_testing.spec.operations import VOCABULARY
from flaxlayer_testing.spec.spec import Case, ModuleSpec, ValueType

__all__ = ["call_text", "input_lines", "key_texts", "layer_settings"]


def input_lines(case: Case) -> list[str]:
    """Returns the lines that make `inputs` and `arguments`, what the method is called with.

    Args:
        case: A module, its batch size, its seed, and what is given for its extra parameters.

    Returns:
        Lines of Python; none about `arguments` where the method has no extra parameters.
    """
    pairs = zip(input_names(case.spec), case.spec.inputs, strict=True)
    lines = [
        f"rng = np.random.default_rng({case.seed})",
        *(_input_text(name, value, case.batch_size) for name, value in pairs),
        _inputs_text(case.spec),
    ]
    if not case.spec.extras:
        return lines
    given = {name: _given_text(case, name, value) for name, value in case.given}
    positional = [extra.name for extra in case.spec.extras if extra.positional]
    first = [f"inputs += ({', '.join(map(given.pop, positional))},)"] if positional else []
    pairs_text = ", ".join(f"'{name}': {text}" for name, text in given.items())
    return [*lines, *first, f"arguments = {{{pairs_text}}}"]


def _given_text(case: Case, name: str, value: Given) -> str:
    if value == GIVEN_ARRAY:
        normal = f"np.random.default_rng({case.seed + 1}).standard_normal({case.batch_size})"
        return f"jnp.asarray({normal}.astype(np.float32))"
    return EXTRA_KINDS[name].value.format(given=value)


def key_texts(spec: ModuleSpec, *, training: bool, keys: str) -> dict[str, str]:
    """Returns the texts of what a layer gives for extra parameters that take random keys (R5).

    Args:
        spec: A spec.
        training: The mode.
        keys: The expression of the keys by stream; empty where there is none.

    Returns:
        Expressions by the name of the parameter.
    """
    extras = [extra for extra in spec.extras if extra.kind.stream]
    kinds = [extra.kind for extra in extras if training or not extra.optional]
    return {
        kind.name: f"nnx.Rngs({kind.stream}={keys}['{kind.stream}'])"
        if kind.as_rngs
        else f"{keys}['{kind.stream}']"
        for kind in kinds
    }


def call_text(spec: ModuleSpec, *, training: bool, keys: str) -> str:
    """Returns the text of the arguments of a call in a mode.

    Args:
        spec: A spec.
        training: The mode.
        keys: The expression of the keys by stream.

    Returns:
        Text that stands between parentheses.
    """
    flags = {} if spec.flag is None else {spec.flag.name: spec.flag.argument(training)}
    named = {**key_texts(spec, training=training, keys=keys), **flags}
    words = ["*inputs", *(["**arguments"] if spec.extras else [])]
    return ", ".join([*words, *(f"{name}={value}" for name, value in named.items())])


def layer_settings(spec: ModuleSpec) -> dict[str, dict[str, str]]:
    """Returns the settings that a layer needs for the extra parameters of a module (R5)."""
    kinds = [extra.kind for extra in spec.extras if extra.kind.stream and not extra.kind.as_rngs]
    return {"rng_args": {kind.name: kind.stream for kind in kinds}} if kinds else {}


def _input_text(name: str, value: ValueType, batch_size: int) -> str:
    shape = (batch_size, *value.shape)
    if value.dtype == "int32":
        return f"{name} = rng.integers(0, {VOCABULARY}, {shape}).astype(np.int32)"
    if value.dtype == "bool":
        length = value.shape[-1]
        lengths = f"rng.integers(1, {length + 1}, {(*shape[:-1], 1)})"
        return f"{name} = np.arange({length}) < {lengths}"
    return f"{name} = rng.standard_normal({shape}).astype(jnp.{value.dtype})"


def _inputs_text(spec: ModuleSpec) -> str:
    names = input_names(spec)
    own = names[: len(names) - spec.mask]
    arrays = f"({', '.join(own)},)"
    pairs = ", ".join(f"'{name}': {name}" for name in own)
    trees = {"dict": f"{{{pairs}}}", "tuple": arrays, "dataclass": f"Record({arrays})"}
    text = ", ".join([trees.get(spec.arguments, ", ".join(own)), *names[len(own) :]])
    return f"inputs = jax.tree.map(jnp.asarray, ({text},))"
