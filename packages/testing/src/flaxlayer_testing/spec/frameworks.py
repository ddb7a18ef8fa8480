"""What a framework lacks of what a spec may use: its operations, transforms, parameters (T1)."""

from __future__ import annotations

from collections.abc import Iterator

from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.spec.operations import OPERATIONS
from flaxlayer_testing.spec.spec import ModuleSpec, Node
from flaxlayer_testing.spec.transforms import TRANSFORMS

__all__ = ["is_of", "require_of"]


def is_of(spec: ModuleSpec, framework: str) -> bool:
    """Tells whether a framework has all that a spec uses.

    Args:
        spec: A spec.
        framework: `"linen"` or `"nnx"`.

    Returns:
        False where an operation, an option, a transform or a parameter is of another alone.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import ValueType
    >>> local = Node("conv_local", (0,), (("features", 2), ("kernel_size", (2,))))
    >>> spec = ModuleSpec((ValueType((4, 2)),), (local,), (1,))
    >>> is_of(spec, "linen"), is_of(spec, "nnx")
    (True, False)

    ```
    """
    return next(_lacking(spec, framework), None) is None


def require_of(spec: ModuleSpec, framework: str) -> None:
    """Refuses a spec that uses what a framework does not have.

    Args:
        spec: A spec.
        framework: `"linen"` or `"nnx"`.

    Raises:
        ReadSpecError: If it does.
    """
    lacking = list(dict.fromkeys(_lacking(spec, framework)))
    if lacking:
        raise ReadSpecError(
            f"{framework} has no such module.",
            expected=f"operations, options, transforms and parameters that {framework} has",
            found=", ".join(lacking)[:300],
            fix="Draw specs for it, or build the module in another framework.",
            law="T1",
        )


def _lacking(spec: ModuleSpec, framework: str) -> Iterator[str]:
    yield from (x.name for x in spec.extras if x.kind.only not in ("", framework))
    for node in spec.nodes:
        yield from _lacking_of_node(node, framework)


def _lacking_of_node(node: Node, framework: str) -> Iterator[str]:
    # What no framework has is refused where a spec is typed.
    options = dict(node.options)
    if node.inner is not None:
        transform = TRANSFORMS.get(str(options.get("transform")))
        if transform is not None and framework not in transform.forms:
            yield str(options["transform"])
        yield from _lacking(node.inner, framework)
    elif node.op in OPERATIONS:
        form = OPERATIONS[node.op].forms.get(framework)
        if form is None:
            yield node.op
        elif not form.has(options):
            yield f"{node.op} with {options}"
