"""An nnx module taken apart: its graph, which is static, and its arrays by collection and path."""

from __future__ import annotations

import functools
from collections.abc import (
    Container,
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    Sequence,
)
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from flax import nnx

from flaxlayer_core.errors import AcceptModuleError
from flaxlayer_core.modules.nnx.graph_nodes import NodePlaces
from flaxlayer_core.modules.nnx.graph_variables import GraphVariable, collection_of, state_variables
from flaxlayer_core.trees.paths import format_path
from flaxlayer_core.trees.variable_layout import placeholder
from flaxlayer_core.typing import Array, Leaf, Path, PyTree, Shaped

__all__ = ["GraphForm", "inner_modules", "rng_streams"]


def inner_modules(module: nnx.Module) -> list[nnx.Module]:
    """Returns a module and all modules in it."""
    return [node for _, node in nnx.iter_graph(module) if isinstance(node, nnx.Module)]


def rng_streams(node: object) -> list[nnx.RngStream]:
    """Returns the random streams that a module, or `nnx.Rngs`, keeps."""
    return [inner for _, inner in nnx.iter_graph(node) if isinstance(inner, nnx.RngStream)]


@dataclass(frozen=True, eq=False)
class GraphForm:
    """What is static in a module: its graph, and where its arrays stand.

    Attributes:
        graphdef: The graph, as `nnx.split` returns it.
        treedef: The tree of its state.
        variables: The variables, in the order of the tree.
        rng_specs: Keys and counts of random streams, described.
    """

    graphdef: nnx.GraphDef[nnx.Module]
    treedef: jax.tree_util.PyTreeDef
    variables: tuple[GraphVariable, ...]
    rng_specs: Mapping[Path, Array] = field(default_factory=dict)
    # A memo: what stands here follows from the graph.
    _memo: dict[object, Leaf] = field(default_factory=dict, repr=False)

    @classmethod
    def from_module(
        cls, module: nnx.Module, *, like: GraphForm | None = None
    ) -> tuple[GraphForm, dict[Path, Array]]:
        """Takes a module apart.

        Args:
            module: A module; it is not changed.
            like: The form that it was merged from, which tells of its variables where those are
                still the same (B6).

        Returns:
            The form, and the arrays by path, those of random streams included.

        Raises:
            AcceptModuleError: If two arrays have the same path.
        """
        graphdef, state = nnx.split(module)
        values, treedef = jax.tree_util.tree_flatten(state)
        variables = tuple(state_variables(state)) if like is None else like._known(treedef, state)
        paths = [path for variable in variables for path in variable.paths]
        found = dict(zip(paths, values, strict=True))
        if len(found) < len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise AcceptModuleError(
                f"FlaxLayer cannot tell two arrays of {type(module).__name__} apart.",
                expected="a path of its own for each variable",
                found=f"{format_path(twice)!r} twice",
                fix="Rename one of the attributes, or the class of one of the variables.",
                law="W1",
            )
        # Described only: a value may belong to a trace that ends.
        specs = {
            path: jax.ShapeDtypeStruct(found[path].shape, found[path].dtype)
            for variable in variables
            if variable.is_rng
            for path in variable.paths
        }
        return cls(graphdef, treedef, variables, specs), found

    def _known(self, treedef: jax.tree_util.PyTreeDef, state: PyTree) -> tuple[GraphVariable, ...]:
        if treedef == self.treedef:
            return self.variables
        # After a call that counts its draws, or makes state, it is another tree each time alike.
        if treedef not in self._memo:
            self._memo[treedef] = tuple(state_variables(state))
        known: tuple[GraphVariable, ...] = self._memo[treedef]
        return known

    def nodes_of(self, module: nnx.Module) -> list[Leaf]:
        """Returns the modules and random streams in a module, which has this form.

        Args:
            module: The module, as `merge` returned it.

        Returns:
            The nodes in the order of `nnx.iter_graph`, the module itself as the last.
        """
        if NodePlaces not in self._memo:
            self._memo[NodePlaces] = NodePlaces(module)
        places: NodePlaces = self._memo[NodePlaces]
        return places.find(module)

    @property
    def paths(self) -> frozenset[Path]:
        """Paths of the arrays that are stored or pass by."""
        return frozenset(path for v in self.variables if not v.is_rng for path in v.paths)

    def without(self, paths: Container[Path]) -> GraphForm:
        """Returns the form of the same module without some variables.

        A module that was called before it was handed over holds what that call sowed.

        Args:
            paths: Paths of the arrays that it keeps, those of random streams aside.
        """
        kept = [v for v in self.variables if v.is_rng or all(p in paths for p in v.paths)]
        names = {variable.path for variable in kept}
        module = self._without_arrays()

        def leaves_out(path: Sequence[object], variable: object) -> bool:
            parts = [part for key in path for part in (key if isinstance(key, tuple) else (key,))]
            return (collection_of(type(variable)), *map(str, parts)) not in names

        nnx.pop(module, leaves_out)
        return GraphForm.from_module(module)[0]

    def joined(self, other: GraphForm) -> GraphForm:
        """Returns the form of the same module with what another form has and this has not.

        Args:
            other: The form after other calls.
        """
        module, source = self._without_arrays(), other._without_arrays()
        places = dict(nnx.iter_graph(module))
        for path, node in sorted(nnx.iter_graph(source), key=lambda entry: len(entry[0])):
            if path not in places and path[:-1] in places:
                _put_into(places[path[:-1]], path[-1], node)
        return GraphForm.from_module(module)[0]

    def _without_arrays(self) -> nnx.Module:
        nothing = jax.ShapeDtypeStruct((), jnp.uint8)
        return self.merge(dict.fromkeys(self.paths, nothing), {})

    def nest(
        self, values: Mapping[Path, Shaped], variables: Iterable[GraphVariable]
    ) -> dict[str, PyTree]:
        """Returns variables as a nested tree, their values in the structure that they have.

        Args:
            values: Arrays by path.
            variables: Variables of this form.

        Returns:
            A tree of collections.
        """
        tree: dict[str, PyTree] = {}
        for variable in sorted(variables, key=lambda variable: variable.path):
            inner = tree
            for part in variable.path[:-1]:
                inner = inner.setdefault(part, {})
            arrays = [values[path] for path in variable.paths]
            inner[variable.path[-1]] = jax.tree_util.tree_unflatten(variable.treedef, arrays)
        return tree

    def merge(self, values: Mapping[Path, Shaped], rng_values: Mapping[Path, Shaped]) -> nnx.Module:
        """Makes a module of the graph and of arrays.

        Args:
            values: The arrays by path.
            rng_values: Keys and counts of random streams; zeros where none is given.

        Returns:
            A new module.
        """
        made = functools.cache(placeholder)
        arrays = [
            (rng_values[path] if path in rng_values else made(self.rng_specs[path]))
            if variable.is_rng
            else values[path]
            for variable in self.variables
            for path in variable.paths
        ]
        return nnx.merge(self.graphdef, jax.tree_util.tree_unflatten(self.treedef, arrays))


def _put_into(parent: object, name: Leaf, node: object) -> None:
    if isinstance(parent, MutableMapping):
        parent[name] = node
    elif isinstance(parent, MutableSequence):
        parent.append(node)
    else:
        setattr(parent, name, node)
