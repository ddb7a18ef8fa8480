"""State that calls make or change in form: it gets a place, or is refused (C2)."""

from __future__ import annotations

import jax

from flaxlayer_core.discovery.module_call import ModuleCall
from flaxlayer_core.discovery.module_spec import ModuleSpec
from flaxlayer_core.errors import BuildModuleError
from flaxlayer_core.trees.overlays import fill_missing, subtract_tree
from flaxlayer_core.trees.roles import Role
from flaxlayer_core.trees.structures import same_structure
from flaxlayer_core.typing import PyTree, Shaped

__all__ = ["find_late", "refuse_late"]


def find_late(call: ModuleCall, found: ModuleSpec) -> dict[str, PyTree]:
    """Finds state that only a call makes, which a discovery has no place for.

    Args:
        call: The module and its call.
        found: What was found.

    Returns:
        A tree of `ShapeDtypeStruct`.

    Raises:
        BuildModuleError: If a call changes the form of state that it has already.
    """
    late: dict[str, PyTree] = {}
    for plan in (found.training, found.inference):
        for name, tree in plan.updates.items():
            stored = found.variables.get(name, {})
            if found.layout.role(name) is not Role.STATE or same_structure(stored, tree):
                continue
            part = subtract_tree(tree, stored)
            if not same_structure(stored, subtract_tree(tree, part)):
                raise _misshapen(call, name, stored, tree)
            late = fill_missing(late, {name: part})
    structs: dict[str, PyTree] = jax.tree_util.tree_map(_struct, late)
    return structs


def _struct(leaf: Shaped) -> jax.ShapeDtypeStruct:
    struct: jax.ShapeDtypeStruct = jax.eval_shape(jax.numpy.asarray, leaf)
    return struct


def refuse_late(call: ModuleCall, found: ModuleSpec) -> None:
    """Refuses state that is not made at init where there is no place for it any more (C2).

    Raises:
        BuildModuleError: If the discovery found such state.
    """
    if found.late:
        raise BuildModuleError(
            f"{call.title} makes state that is not known from its build: "
            + ", ".join(sorted(found.late))
            + ".",
            expected="state that init or the call that builds the layer makes",
            found="a collection that only another call makes, or only once other state is made",
            fix="Create the variable at init as well, or make the collection transient with "
            "collections=CollectionPolicy(transient=(...)).",
            law="C2",
        )


def _misshapen(call: ModuleCall, name: str, stored: object, tree: PyTree) -> BuildModuleError:
    return BuildModuleError(
        f"{call.title} changes the form of its state {name!r} when it is applied.",
        expected=f"the form that it had before: {stored}",
        found=f"{tree}",
        fix="Keep the structure, shapes and dtypes of state fixed, or make the collection "
        "transient with collections=CollectionPolicy(transient=(...)).",
        law="C2",
    )
