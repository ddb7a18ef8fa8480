"""Where a Keras distribution puts the variables of a module (B5, D4)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import jax
import keras
import numpy as np

from flaxlayer.backends import current_backend
from flaxlayer.compat import private_keras
from flaxlayer.typing import Array, Layout
from flaxlayer_core import (
    BuildModuleError,
    BuildSpec,
    DistributeModelError,
    Path,
    escape_part,
    format_path,
    partition_axes,
)

__all__ = [
    "current_devices",
    "divided_along",
    "division_of",
    "place",
    "place_for",
    "refuse_divided",
    "refuse_elsewhere",
    "sharding_of",
    "shardings_of",
    "spans_processes",
    "variable_layouts",
]

# Since Keras 3.10; before, it finds a layout by the path of the variable alone.
_TAKES_LAYOUT = "layout" in inspect.signature(keras.Variable).parameters

AxisName: TypeAlias = str | tuple[str, ...] | None
"""The axis of a mesh that a dimension is divided along, or several, or none."""


def variable_layouts(build_spec: BuildSpec, *, prefix: str, title: str) -> dict[Path, Layout]:
    """Returns the layout of each variable under the current distribution.

    That of the `LayoutMap` that matches its path; else what the module's partition metadata names;
    else no sharding. Where no variable is to be divided (`DataParallel`), metadata may name axes
    that the mesh does not have.

    Args:
        build_spec: What is known of the module.
        prefix: The Keras path of the layer.
        title: What to name in an error.

    Returns:
        What `keras.Variable(layout=...)` takes, by path; none where Keras distributes nothing.

    Raises:
        DistributeModelError: If variables of this Keras take no layout.
        BuildModuleError: If a layout cannot be told, or does not divide a variable evenly.
    """
    distribution = current_backend().distribution()
    if distribution is None:
        return {}
    if not _TAKES_LAYOUT:
        raise DistributeModelError(
            f"{title} cannot be built under a distribution.",
            expected="Keras 3.10 or newer, whose variables take a layout",
            found=f"Keras {keras.__version__}",
            fix="Install a newer Keras, or call keras.distribution.set_distribution(None).",
            law="D1",
        )
    discovery, layouts = build_spec.spec, {}
    axes = partition_axes(build_spec)
    for spec in discovery.layout.specs:
        failed = f"{title} cannot shard {format_path(spec.path)!r}."
        path = "/".join((prefix, *map(escape_part, spec.path)))
        found = _mapped(distribution, path, failed)
        if found is None:
            names = _known_axes(axes.get(spec.path, ()), distribution, failed)
            found = _layout_of(names, len(spec.shape), distribution.device_mesh)
        _refuse_uneven(found, spec.shape, failed)
        layouts[spec.path] = found
    return layouts


def shardings_of(layouts: Mapping[Path, Layout]) -> dict[Path, jax.sharding.Sharding]:
    """Returns layouts as shardings of JAX."""
    return {path: sharding_of(layout) for path, layout in layouts.items()}


def current_devices() -> frozenset[str]:
    """Returns the names of the devices of the current distribution, none where there is none."""
    distribution = current_backend().distribution()
    return frozenset() if distribution is None else _devices_of(distribution)


@lru_cache(maxsize=8)  # each call of a layer asks
def _devices_of(distribution: keras.distribution.Distribution) -> frozenset[str]:
    return frozenset(map(str, distribution.device_mesh.devices.flat))


def refuse_elsewhere(devices: frozenset[str], *, title: str) -> None:
    """Raises an error where variables were made for other devices than are in use.

    Args:
        devices: Those of the distribution under which they were made.
        title: What to name in the error.

    Raises:
        DistributeModelError: If the current distribution has others, and more than one.
    """
    current = current_devices()
    if devices is current or len(current) < 2 or devices == current:
        return
    raise DistributeModelError(
        f"{title} has its variables elsewhere than the distribution asks.",
        expected=f"variables on {_list_devices(current)}",
        found=f"variables on {_list_devices(devices)}"
        if devices
        else "a layer that was built before a distribution was set",
        fix="Call keras.distribution.set_distribution before the model is made, or save it and "
        "load it now.",
        law="D1",
    )


def spans_processes(value: object) -> bool:
    """Tells whether a value is an array that no process has the whole of."""
    if not isinstance(value, jax.Array) or isinstance(value, jax.core.Tracer):
        return False
    return not (value.is_fully_addressable or value.is_fully_replicated)


def divided_along(variables: Iterable[keras.Variable]) -> dict[int, tuple[AxisName, ...]]:
    """Returns the axes that dimensions are divided along, by the positions of divided variables.

    A variable whose value is traced, or is not made yet, is passed over.
    """
    if private_keras.in_stateless_scope():
        return {}
    values = enumerate(variable.value for variable in variables)
    shardings = {
        index: value.sharding
        for index, value in values
        if isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)
    }
    return {
        index: tuple(sharding.spec)
        for index, sharding in shardings.items()
        if isinstance(sharding, jax.sharding.NamedSharding) and not sharding.is_fully_replicated
    }


def place(value: Array, sharding: jax.sharding.Sharding | None) -> Array:
    """Returns an array of NumPy in its shards, each device with its own part alone (D3).

    Args:
        value: The array, the same in each process.
        sharding: Where its parts go; None, or on one device, leaves it as it is.
    """
    if sharding is None or len(sharding.device_set) < 2:
        return value
    return jax.make_array_from_callback(value.shape, sharding, lambda part: value[part])


def place_for(variable: keras.Variable, value: Array) -> Array:
    """Returns a value for a variable in the shards of what the variable holds (D3).

    Args:
        variable: The variable.
        value: The value, the same in each process; arrays of several processes stay as they are.
    """
    division = division_of(variable)
    if division is None or spans_processes(value):
        return value
    if isinstance(value, jax.Array) and value.sharding == division:
        return value
    return place(np.asarray(value), division)


def division_of(variable: keras.Variable) -> jax.sharding.Sharding | None:
    """Returns how the value of a variable stands on several devices, None for a single one."""
    held = variable.value
    if not isinstance(held, jax.Array) or isinstance(held, jax.core.Tracer):
        return None
    return held.sharding if len(held.sharding.device_set) > 1 else None


def refuse_divided(variables: Iterable[keras.Variable], *, title: str) -> None:
    """Raises an error where this process cannot write all values of variables itself.

    Args:
        variables: The variables.
        title: What to name in the error.

    Raises:
        DistributeModelError: If parts of one are in other processes alone.
    """
    divided = [variable for variable in variables if spans_processes(variable.value)]
    if divided:
        first = divided[0]
        raise DistributeModelError(
            f"{title} cannot write {first.path!r} to a file.",
            expected="a variable that this process has the whole of",
            found=f"one that is divided among processes, as {len(divided) - 1} more are",
            fix="Call flaxlayer.save_in_processes(model, path) in all processes, or write a "
            "checkpoint in shards (docs/distribution.md).",
            law="D3",
        )


def _mapped(distribution: keras.distribution.Distribution, path: str, failed: str) -> Layout | None:
    try:
        return distribution.get_tensor_layout(path)
    except ValueError as error:
        raise BuildModuleError(
            failed,
            expected="one entry of the LayoutMap for each path",
            found=str(error)[:500],
            fix="Make the patterns exclude each other: they match the whole path.",
            law="D4",
        ) from error


def _known_axes(
    names: Sequence[AxisName], distribution: keras.distribution.Distribution, failed: str
) -> Sequence[AxisName]:
    known = tuple(distribution.device_mesh.axis_names)
    unknown = [name for name in _flat(names) if name is not None and name not in known]
    if not unknown or isinstance(distribution, keras.distribution.DataParallel):
        return [_in_mesh(name, known) for name in names]
    raise BuildModuleError(
        failed,
        expected=f"the axes of the mesh, {', '.join(map(repr, known))}",
        found=f"{', '.join(map(repr, unknown))} in its partition metadata",
        fix="Name the axis of the mesh so, map the name by Flax's logical axis rules, or give the "
        "variable an entry in the LayoutMap, which comes first.",
        law="D4",
    )


def sharding_of(layout: Layout) -> jax.sharding.Sharding:
    """Returns a layout as a sharding of JAX."""
    if isinstance(layout, jax.sharding.Sharding):
        return layout
    return _named_sharding(layout.axes, layout.device_mesh)


def _named_sharding(
    axes: Sequence[AxisName], mesh: keras.distribution.DeviceMesh
) -> jax.sharding.Sharding:
    return jax.sharding.NamedSharding(_jax_mesh(mesh), jax.sharding.PartitionSpec(*axes))


@lru_cache(maxsize=8)
def _jax_mesh(mesh: keras.distribution.DeviceMesh) -> jax.sharding.Mesh:
    given = list(mesh.devices.flat)
    platforms = {name.partition(":")[0] for name in given if isinstance(name, str)}
    known = {f"{p}:{device.id}": device for p in platforms for device in jax.devices(p)}
    unknown = [name for name in given if isinstance(name, str) and name not in known]
    if unknown:
        raise DistributeModelError(
            "A mesh has devices that JAX does not have.",
            expected=f"some of {_list_devices(frozenset(known))}",
            found=_list_devices(frozenset(unknown)),
            fix="Take names from keras.distribution.list_devices().",
            law="D1",
        )
    devices = np.array([known.get(name, name) for name in given], object)
    return jax.sharding.Mesh(devices.reshape(mesh.devices.shape), tuple(mesh.axis_names))


def _layout_of(names: Sequence[AxisName], ndim: int, mesh: keras.distribution.DeviceMesh) -> Layout:
    axes = [*names, *[None] * (ndim - len(names))]
    if any(isinstance(name, tuple) for name in axes):  # Keras has one axis for a dimension
        return _named_sharding(axes, mesh)
    return keras.distribution.TensorLayout(axes, mesh)


def _in_mesh(name: AxisName, axis_names: Sequence[str]) -> AxisName:
    if isinstance(name, tuple):
        return tuple(part for part in name if part in axis_names) or None
    return name if name in axis_names else None


def _refuse_uneven(layout: Layout, shape: tuple[int, ...], failed: str) -> None:
    problem = _find_problem(layout, shape)
    if problem:
        raise BuildModuleError(
            failed,
            expected=f"a layout that divides {list(shape)} evenly, each axis of "
            f"{_mesh_of(layout)} once at most",
            found=problem[:500],
            fix="Name another axis for it in the LayoutMap, or no axis.",
            law="B5",
        )


def _find_problem(layout: Layout, shape: tuple[int, ...]) -> str:
    axes = tuple(getattr(layout, "axes", getattr(layout, "spec", ())))  # Keras's, or JAX's
    names = [name for name in _flat(axes) if name is not None]
    if len(axes) > len(shape):
        return f"{axes}, which has more axes than the shape has dimensions"
    if len(set(names)) < len(names):
        return f"{axes}, which names an axis twice"
    try:
        sharding_of(layout).shard_shape(shape)
    except ValueError as error:
        return f"{axes}: {error}"
    return ""


def _flat(axes: Sequence[AxisName]) -> list[str | None]:
    return [part for name in axes for part in (name if isinstance(name, tuple) else (name,))]


def _mesh_of(layout: Layout) -> str:
    mesh = getattr(layout, "device_mesh", None)
    return "its mesh" if mesh is None else str(dict(zip(mesh.axis_names, mesh.shape, strict=True)))


def _list_devices(devices: frozenset[str]) -> str:
    names = sorted(devices)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
