"""Trees of arrays that a user lends to a layer, or has of it, and goes on to use (B4, W2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax

from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.layer import copied

__all__ = ["Lent"]


@dataclass(frozen=True)
class Lent:
    """A tree of arrays, and what it held.

    Attributes:
        tree: The tree that the user keeps.
        held: A copy of what it held.
        what: What it is, for messages.
    """

    tree: Any
    held: Any
    what: str

    @classmethod
    def of(cls, tree: Any, what: str) -> Lent:
        """Returns a tree with a copy of what it holds; None is a tree, too."""
        return cls(tree, copied(tree), what)

    def compare(self) -> None:
        """Raises where the tree holds anything else, or what it held was given away."""
        gone = [leaf for leaf in jax.tree_util.tree_leaves(self.tree) if _is_deleted(leaf)]
        if gone:
            raise KeepLawError(
                f"{self.what}: {len(gone)} are gone.",
                expected="arrays that the user can go on to use",
                found=f"{len(gone)} that were deleted",
                law="W2",
            )
        compare_trees(self.held, copied(self.tree), bitwise=True, path=self.what)


def _is_deleted(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and leaf.is_deleted()
