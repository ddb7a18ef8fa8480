"""Specs as linen modules: how they are written, run and built (T1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache, cached_property, lru_cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.render.classes import ClassForm, execute, generated_class
from flaxlayer_testing.render.piece_names import named_pieces, pieces_of
from flaxlayer_testing.render.program_inputs import call_text
from flaxlayer_testing.render.raw_linen import RawLinen
from flaxlayer_testing.render.source import Writer, class_texts, nested_specs, repeats
from flaxlayer_testing.spec.frameworks import require_of
from flaxlayer_testing.spec.spec import Case, ModuleSpec
from flaxlayer_testing.spec.traits import spec_traits
from flaxlayer_testing.spec.typing import value_types

__all__ = ["LINEN", "GeneratedModule", "LinenWriter", "build_module"]

# How a module is written.


class LinenWriter(Writer):
    """Writes a linen module: compact, or with its submodules made in `setup`."""

    framework, flax, between = "linen", "nn", "\n"
    constructor, nested = "setup(self)", "{name}({fields})"

    @property
    def constructs(self) -> bool:
        """Whether submodules are made in `setup`."""
        return self.spec.style == "setup"

    @property
    def decorators(self) -> list[str]:
        """What a method that makes submodules stands under."""
        return [] if self.constructs else ["@nn.compact"]

    def _name(self, position: int) -> str:
        return f"{'self.' if self.constructs else ''}layer_{self.results[position][0]}"

    @cached_property
    def _repeated(self) -> set[int]:
        """The positions of the nodes whose layers are called again."""
        return {repeats(node) for node in self.spec.nodes if node.op == "again"}

    def _is_named(self, position: int) -> bool:
        named = self.constructs or position in self._repeated
        return named and bool(self.made_text(position))

    def layer_text(self, position: int) -> str:
        """Returns the name of a layer, or where it has none the expression that makes it."""
        made = self.maker(position)
        return self._name(made) if self._is_named(made) else self.made_text(made)

    def lines_before(self, position: int) -> list[str]:
        """Returns the line that names a layer which a compact method calls more than once."""
        if self.constructs or not self._is_named(position):
            return []
        return [f"{self._name(position)} = {self.made_text(position)}"]

    def constructor_lines(self) -> list[str]:
        """Returns the lines of `setup`."""
        made = [p for p in range(len(self.spec.nodes)) if self.made_text(p)]
        return [f"{self._name(p)} = {self.made_text(p)}" for p in made] or ["pass"]

    def nested_fields(self, position: int) -> str:
        """Returns the name of a nested module, which in `setup` its attribute gives it."""
        return "" if self.constructs else f"name='nested_{self.results[position][0]}'"


# How a module is built.


class GeneratedModule(nn.Module):
    """Base of the modules that are built from a spec.

    There is one subclass for each signature and set of methods, because a layer inspects them.
    Each can be imported from here by its name, so that pickling works.

    Attributes:
        spec: The spec as JSON: plain data, so that a layer can store the module (S1).
    """

    spec: str


def _methods_of(module: GeneratedModule) -> Mapping[str, Callable[..., Any]]:
    return _methods(module.spec)


@cache
def _class_of(name: str) -> type[GeneratedModule]:
    names = {"nn": nn, "Side": blocks.Side}
    return generated_class(name, GeneratedModule, _methods_of, names, decorator="@nn.compact")


def __getattr__(name: str) -> type[GeneratedModule]:
    return _class_of(name)


def _module_class(spec: ModuleSpec) -> type[GeneratedModule]:
    return _class_of(f"Generated{ClassForm.of(spec, setup=spec.style == 'setup').name}")


@lru_cache(maxsize=1024)
def _methods(text: str) -> Mapping[str, Callable[..., Any]]:
    spec = ModuleSpec.from_json(text)
    value_types(spec)
    nested = {name: _nested_class(name, inner) for name, inner in nested_specs(spec).items()}
    namespace = {"nn": nn, "jax": jax, "jnp": jnp, **LINEN.pieces, **nested}
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    methods = LINEN.writer(spec).methods()
    source = "\n".join(line for lines in methods.values() for line in lines) + "\n"
    execute(source, f"<spec {digest}>", namespace)
    return {name: namespace[name] for name in methods}


def _nested_class(name: str, spec: ModuleSpec) -> type[GeneratedModule]:
    # A class, not a function that makes a module: lifted transforms of classes want one.
    members = {"spec": spec.to_json(), "__annotations__": {"spec": str}, "__module__": __name__}
    generated: type[GeneratedModule] = type(name, (_module_class(spec),), members)
    return generated


def build_module(spec: ModuleSpec) -> GeneratedModule:
    """Builds the linen module of a spec.

    Args:
        spec: A spec.

    Returns:
        A module with a real signature, whose only field is the spec as JSON.

    Raises:
        ReadSpecError: If the spec is not valid, or uses what only nnx has.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import ModuleSpec, Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> module = build_module(ModuleSpec((ValueType((2,)),), (node,), (1,)))
    >>> module.apply({}, jnp.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]

    ```
    """
    require_of(spec, "linen")
    text = spec.to_json()
    _methods(text)  # So that a wrong spec fails here, not within a trace.
    return _module_class(spec)(spec=text)


# How a program runs it.


def _rngs_text(spec: ModuleSpec, seed: int, *, training: bool) -> str:
    names = sorted(spec_traits(spec).streams(training))
    keys = [f"'{name}': jax.random.key({seed + 1 + i})" for i, name in enumerate(names)]
    return "{" + ", ".join(keys) + "}"


def _apply_lines(case: Case, name: str, *, training: bool) -> list[str]:
    call = call_text(case.spec, training=training, keys="keys")
    mutable = "mutable=nn.DenyList(['params'])"
    return [
        f"keys = {_rngs_text(case.spec, case.seed, training=training)}",
        f"{name} = module.apply(variables, {call}, rngs=keys, {mutable})",
    ]


class _Linen:
    imports = "import flax.linen as nn\nimport jax\nimport jax.numpy as jnp\nimport numpy as np"
    pieces: Mapping[str, Any] = named_pieces(blocks) | pieces_of("linen")
    has_objects = False
    raw: type[Any] = RawLinen

    def writer(self, spec: ModuleSpec, *, batch_size: int = 2) -> LinenWriter:
        return LinenWriter(spec, batch_size=batch_size)

    def run_lines(self, case: Case) -> list[str]:
        rngs = _rngs_text(case.spec, case.seed, training=True)
        return [
            *self.module_lines(case),
            f"keys = {{'params': jax.random.key({case.seed}), **{rngs}}}",
            f"variables = module.init(keys, {call_text(case.spec, training=True, keys='keys')})",
            *_apply_lines(case, "trained", training=True),
            *_apply_lines(case, "predicted", training=False),
        ]

    def definitions(self, case: Case) -> list[str]:
        return class_texts(self.writer(case.spec, batch_size=case.batch_size))

    def module_lines(self, case: Case) -> list[str]:
        return ["module = Model()"]

    def module_of(self, case: Case) -> GeneratedModule:
        return build_module(case.spec)


LINEN = _Linen()
"""What is of linen."""
