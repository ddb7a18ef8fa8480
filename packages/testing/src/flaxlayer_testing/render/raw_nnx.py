"""An nnx module by raw Flax, as programs run it: they hold this source (T1)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from flaxlayer_testing.render.raw_trees import cast, compiled, split

__all__ = ["RawNnx"]


class RawNnx:
    """An nnx module by raw Flax: its variables are a tree of collections, by their types.

    Args:
        module: The module, or what makes one.
        denied: Collections that it may not change at inference.
    """

    def __init__(self, module: Any, denied: Any = ()) -> None:
        self.module = nnx.clone(module) if isinstance(module, nnx.Module) else module
        self.denied, self.made = denied, dict[Any, Any]()

    def init(
        self,
        keys: Any,
        inputs: Any,
        arguments: Any,
        filled: Any = None,
        method: str = "__call__",
    ) -> dict[str, Any]:
        """Returns the initial variables."""
        if not isinstance(self.module, nnx.Module):
            self.module = self.module(rngs=nnx.Rngs(**keys))
        return self.variables_of(self.module)

    def apply(
        self,
        variables: Any,
        inputs: Any,
        arguments: Any,
        keys: Any,
        training: bool,
        filled: Any = None,
        dtype: Any = None,
        method: str = "__call__",
    ) -> Any:
        """Returns the outputs, and every collection that the module may change."""
        arrays, merge = split((inputs, arguments))

        def run(variables: Any, keys: Any, arrays: Any) -> Any:
            args, kwargs = merge(cast(arrays, dtype))
            module = nnx.clone(self.module)
            trained = self.set_variables(module, variables, dtype)
            (module.train if training else module.eval)()
            streams = [node for _, node in nnx.iter_graph(module)]
            tags = sorted({one.tag for one in streams if isinstance(one, nnx.RngStream)})
            used = {tag: keys.get(tag, jax.random.key(0)) for tag in tags}
            nnx.reseed(module, policy="match_shape", **used)
            outputs = getattr(module, method)(*args, **kwargs, **self.keys_of(filled, keys))
            updates = self.variables_of(module)
            kept = trained if training else trained.union(self.denied)
            return outputs, {name: updates[name] for name in updates if name not in kept}

        return compiled(run)(dict(variables), keys, arrays)

    def keys_of(self, filled: Any, keys: Any) -> dict[str, Any]:
        """Returns the arguments that a layer fills with keys, by their names."""
        found = {}
        for name, stream in (filled or {}).items():
            key = keys.get(stream, jax.random.key(0))
            found[name] = nnx.Rngs(**{stream: key}) if name == "rngs" else key
        return found

    def variables_of(self, module: Any) -> dict[str, Any]:
        """Returns the variables of a module."""
        tree: dict[str, Any] = {}
        for path, leaf in self.leaves_of(module):
            *names, last = self.names_of(path, leaf)
            self.made[*names, last] = path, type(leaf)
            inner = tree
            for name in names:
                inner = inner.setdefault(name, {})
            inner[last] = self.value_of(leaf)
        return tree

    def value_of(self, leaf: Any) -> Any:
        """Returns the value of a variable; an array that is none stands for itself."""
        if not isinstance(leaf, nnx.Variable):
            return leaf
        return leaf.get_value() if hasattr(leaf, "get_value") else leaf.value

    def set_variables(self, module: Any, variables: Any, dtype: Any) -> set[str]:
        """Gives a module its variables, and returns the collections that are trained."""
        trained, there = {"params"}, set()
        for path, leaf in self.leaves_of(module):
            names = self.names_of(path, leaf)
            there.add(tuple(names))
            value = jax.tree.map(jnp.asarray, self.find(variables, names))
            if isinstance(leaf, nnx.Param):
                trained.add(names[0])
                value = cast(value, dtype)
            if not isinstance(leaf, nnx.Variable):
                self.attach(module, path, value)
            elif hasattr(leaf, "set_value"):
                leaf.set_value(value)
            else:
                leaf.value = value
        for names, (path, kind) in self.made.items():  # of those that a call makes
            value = self.find(variables, names)
            if names not in there and value is not None:
                self.attach(module, path, kind(value))
        return trained

    def attach(self, module: Any, path: Any, value: Any) -> None:
        """Sets what stands at a path: an attribute, or an entry of a list or a dict."""
        *above, name = path
        for part in above:
            attribute = isinstance(module, nnx.Module) and isinstance(part, str)
            module = getattr(module, part) if attribute else module[part]
        if isinstance(module, nnx.Module) and isinstance(name, str):
            setattr(module, name, value)
        else:
            module[name] = value

    def leaves_of(self, module: Any) -> list[Any]:
        """Returns the variables of a module with their paths, but those of its streams."""
        pairs = nnx.to_flat_state(nnx.state(module))
        return [(path, leaf) for path, leaf in pairs if not isinstance(leaf, nnx.RngState)]

    def names_of(self, path: Any, leaf: Any) -> list[str]:
        """Returns the collection of a variable, and the names on its path."""
        parts = [part if isinstance(part, tuple) else (part,) for part in path]
        try:
            variable = isinstance(leaf, nnx.Variable)
            collection = nnx.variable_name_from_type(type(leaf)) if variable else "arrays"
        except ValueError:
            collection = type(leaf).__name__
        return [collection, *(str(name) for names in parts for name in names)]

    def find(self, tree: Any, names: Any) -> Any:
        """Returns what stands at some names, None if nothing does."""
        for name in names:
            if not isinstance(tree, dict) or name not in tree:
                return None
            tree = tree[name]
        return tree
