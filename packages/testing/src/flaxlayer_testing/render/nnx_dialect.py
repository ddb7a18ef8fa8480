"""Specs as nnx modules: how they are written, run and built (T1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.render.classes import ClassForm, execute, generated_class
from flaxlayer_testing.render.piece_names import named_pieces, pieces_of
from flaxlayer_testing.render.pieces import of_nnx_modules as nnx_blocks
from flaxlayer_testing.render.program_inputs import call_text
from flaxlayer_testing.render.raw_nnx import RawNnx
from flaxlayer_testing.render.source import Writer, class_texts
from flaxlayer_testing.spec.frameworks import require_of
from flaxlayer_testing.spec.spec import Case, ModuleSpec

__all__ = ["NNX", "GeneratedNnxModule", "NnxWriter", "build_nnx_module"]

# How a module is written.


class NnxWriter(Writer):
    """Writes an nnx module, which makes its layers in its constructor."""

    framework, flax, between = "nnx", "nnx", "\n\n"
    constructor, nested = "__init__(self, *, rngs)", "{name}(rngs=rngs)"
    constructs = True

    def _keeps(self, position: int) -> bool:
        """Tells whether the module keeps a layer for a node, if only under another name."""
        return self.maker(position) != position or bool(self.made_text(position))

    def _name(self, position: int) -> str:
        # Attributes, entries of a list, or of a dict.
        number = self.results[position][0]
        if self.spec.style != "setup":
            return f"self.layer_{number}"
        if self.spec.encoder:
            return f"self.layers['layer_{number}']"
        return f"self.layers[{sum(map(self._keeps, range(position)))}]"

    def layer_text(self, position: int) -> str:
        """Returns the name of a layer; empty where it has none."""
        return self._name(position) if self._keeps(position) else ""

    def constructor_lines(self) -> list[str]:
        """Returns the lines of `__init__`."""
        kept = [position for position in range(len(self.spec.nodes)) if self._keeps(position)]
        lines = [self._kept_line(position) for position in kept]
        if self.spec.style == "setup":
            lines.insert(0, f"self.layers = nnx.{'Dict' if self.spec.encoder else 'List'}()")
        return lines or ["pass"]

    def _kept_line(self, position: int) -> str:
        made = self.maker(position)
        text = self.made_text(position) if made == position else self._name(made)
        if self.spec.style == "setup" and not self.spec.encoder:
            return f"self.layers.append({text})"
        return f"{self._name(position)} = {text}"


# How a module is built.


class GeneratedNnxModule(nnx.Module):
    """Base of the nnx modules that are built from a spec.

    There is one subclass for each signature, because a layer inspects it. Each can be imported
    from here by its name, so that pickling works.

    Args:
        spec: The spec as JSON: plain data, so that a layer can store the module (S1).
        batch_size: The size of the batch, for caches.
        rngs: Streams for the initial values.
    """

    def __init__(self, spec: str, batch_size: int = 2, *, rngs: nnx.Rngs) -> None:
        self.spec, self.batch_size = spec, batch_size
        _methods_of(self)["__init__"](self, rngs=rngs)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor but `rngs`."""
        return {"spec": self.spec, "batch_size": self.batch_size}


def _methods_of(module: GeneratedNnxModule) -> Mapping[str, Callable[..., Any]]:
    return _methods(module.spec, module.batch_size)


@cache
def _class_of(name: str) -> type[GeneratedNnxModule]:
    names = {"nnx": nnx, "Side": blocks.Side}
    return generated_class(name, GeneratedNnxModule, _methods_of, names)


def __getattr__(name: str) -> type[GeneratedNnxModule]:
    return _class_of(name)


@lru_cache(maxsize=1024)
def _methods(text: str, batch_size: int) -> Mapping[str, Callable[..., Any]]:
    spec = ModuleSpec.from_json(text)
    namespace = {"nnx": nnx, "jax": jax, "jnp": jnp, **NNX.pieces, "__name__": __name__}
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    source = "\n\n\n".join(class_texts(NNX.writer(spec, batch_size=batch_size))) + "\n"
    return dict(vars(execute(source, f"<nnx spec {digest}>", namespace)["Model"]))


def build_nnx_module(
    spec: ModuleSpec, *, batch_size: int = 2, seed: int | None = None
) -> partial[GeneratedNnxModule] | GeneratedNnxModule:
    """Builds the nnx module of a spec.

    Args:
        spec: A spec of features that nnx has, as `nnx_modules` draws them.
        batch_size: The size of the batch, for caches.
        seed: The seed of an object; None for what makes one.

    Returns:
        A `functools.partial` of a class, which takes `rngs`; an object, if there is a seed.

    Raises:
        ReadSpecError: If the spec is not valid, or uses what nnx does not have.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> module = build_nnx_module(ModuleSpec((ValueType((2,)),), (node,), (1,)), seed=0)
    >>> module(jnp.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]

    ```
    """
    require_of(spec, "nnx")
    text = spec.to_json()
    _methods(text, batch_size)  # So that a wrong spec fails here, not within a trace.
    kind = _class_of(f"GeneratedNnx{ClassForm.of(spec).name}")
    make = partial(kind, spec=text, batch_size=batch_size)
    if seed is None:
        return make
    return make(rngs=nnx.Rngs(**_stream_seeds(seed)))


def _stream_seeds(seed: int) -> dict[str, int]:
    # Every stream that an operation draws from has keys of its own.
    streams = ("default", "params", "dropout", "noise", "drop_path", "sample")
    return {name: seed + number for number, name in enumerate(streams)}


# How a program runs it.


def _made_text(case: Case) -> str:
    keys = ", ".join(f"{name}={seed}" for name, seed in _stream_seeds(case.seed).items())
    return f"Model(rngs=nnx.Rngs({keys}))"


class _Nnx:
    imports = (
        "import functools\n\n"
        "import jax\nimport jax.numpy as jnp\nimport numpy as np\nfrom flax import nnx"
    )
    # A function of linen has the name of one of nnx.
    pieces: Mapping[str, Any] = named_pieces(nnx_blocks, blocks) | pieces_of("nnx")
    has_objects = True
    raw: type[Any] = RawNnx

    def writer(self, spec: ModuleSpec, *, batch_size: int = 2) -> NnxWriter:
        return NnxWriter(spec, batch_size=batch_size)

    def run_lines(self, case: Case) -> list[str]:
        filled = [extra.kind.stream for extra in case.spec.extras if extra.kind.stream]
        given = ", ".join(f"'{stream}': jax.random.key({case.seed})" for stream in filled)
        return [
            *([f"keys = {{{given}}}"] if filled else []),
            *self.module_lines(case),
            f"model = {_made_text(case)}",
            "model.train()",
            f"trained = model({call_text(case.spec, training=True, keys='keys')})",
            "model.eval()",
            f"predicted = model({call_text(case.spec, training=False, keys='keys')})",
        ]

    def definitions(self, case: Case) -> list[str]:
        texts = class_texts(self.writer(case.spec, batch_size=case.batch_size))
        # An object is stored by the arguments of its constructor but rngs.
        return [*texts, "Model.get_config = lambda self: {}"] if case.instance else texts

    def module_lines(self, case: Case) -> list[str]:
        return [
            f"module = {_made_text(case)}" if case.instance else "module = functools.partial(Model)"
        ]

    def module_of(self, case: Case) -> partial[GeneratedNnxModule] | GeneratedNnxModule:
        seed = case.seed if case.instance else None
        return build_nnx_module(case.spec, batch_size=case.batch_size, seed=seed)


NNX = _Nnx()
"""What is of nnx."""
