"""The text of a program that makes the inputs of a case (T1)."""

from __future__ import annotations

from flaxlayer_testing.render.source import input_names
from flaxlayer_testing.spec.operations import VOCABULARY
from flaxlayer_testing.spec.spec import Case, ModuleSpec, ValueType

__all__ = ["input_lines"]


def input_lines(case: Case) -> list[str]:
    """Returns the lines that make `inputs`, the positional arguments of the method.

    Args:
        case: A module, its batch size and its seed.

    Returns:
        Lines of Python.
    """
    pairs = zip(input_names(case.spec), case.spec.inputs, strict=True)
    return [
        f"rng = np.random.default_rng({case.seed})",
        *(_input_text(name, value, case.batch_size) for name, value in pairs),
        _inputs_text(case.spec),
    ]


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
