"""Where a Keras distribution puts the variables of a module (B5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import jax
import keras

from flaxlayer.backends import current_backend
from flaxlayer.typing import Layout
from flaxlayer_core import (
    BuildModuleError,
    BuildSpec,
    Path,
    escape_part,
    format_path,
    partition_axes,
)

__all__ = ["shardings_of", "variable_layouts"]

AxisName: TypeAlias = str | tuple[str, ...] | None
"""The axis of a mesh that a dimension is divided along, or several, or none."""


def variable_layouts(build_spec: BuildSpec, *, prefix: str, title: str) -> dict[Path, Layout]:
    """Returns the layout of each variable under the current distribution.

    That of the `LayoutMap` that matches its path; else what the module's partition metadata names,
    as far as the mesh has such axes; else no sharding.

    Args:
        build_spec: What is known of the module.
        prefix: The Keras path of the layer.
        title: What to name in an error.

    Returns:
        What `keras.Variable(layout=...)` takes, by path; none where Keras distributes nothing.

    Raises:
        BuildModuleError: If a dimension cannot be divided among the devices of its axis.
    """
    distribution = current_backend().distribution()
    if distribution is None:
        return {}
    discovery, layouts = build_spec.spec, {}
    axes = partition_axes(build_spec)
    for spec in discovery.layout.specs:
        path = "/".join((prefix, *map(escape_part, spec.path)))
        found = distribution.get_tensor_layout(path)
        if found is None:
            names = axes.get(spec.path, ())
            found = _layout_of(names, len(spec.shape), distribution.device_mesh)
        _refuse_uneven(found, spec.shape, f"{title} cannot shard {format_path(spec.path)!r}.")
        layouts[spec.path] = found
    return layouts


def shardings_of(layouts: Mapping[Path, Layout]) -> dict[Path, jax.sharding.Sharding]:
    """Returns layouts as shardings of JAX."""
    return {path: _sharding_of(layout) for path, layout in layouts.items()}


def _sharding_of(layout: Layout) -> jax.sharding.Sharding:
    sharding: jax.sharding.Sharding = getattr(layout, "backend_layout", layout)
    return sharding


def _layout_of(names: Sequence[AxisName], ndim: int, mesh: keras.distribution.DeviceMesh) -> Layout:
    known = [_in_mesh(name, mesh.axis_names) for name in names]
    known += [None] * (ndim - len(known))
    if any(isinstance(name, tuple) for name in known):  # Keras has one axis for a dimension
        spec = jax.sharding.PartitionSpec(*known)
        return jax.sharding.NamedSharding(mesh.backend_mesh, spec)
    return keras.distribution.TensorLayout(known, mesh)


def _in_mesh(name: AxisName, axis_names: Sequence[str]) -> AxisName:
    if isinstance(name, tuple):
        return tuple(part for part in name if part in axis_names) or None
    return name if name in axis_names else None


def _refuse_uneven(layout: Layout, shape: tuple[int, ...], title: str) -> None:
    sharding = _sharding_of(layout)
    try:
        sharding.shard_shape(shape)
    except ValueError as error:
        raise BuildModuleError(
            title,
            expected=f"a shape that {sharding} divides evenly",
            found=str(list(shape)),
            fix="Name another axis for it in the LayoutMap, or no axis.",
            law="B5",
        ) from error
