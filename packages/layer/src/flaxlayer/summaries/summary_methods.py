"""What the layers of this package say of themselves: `summary`, and their form in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flaxlayer.calls.runner import Runner
from flaxlayer.counts import check_count
from flaxlayer.summaries.layer_summary import summarize_layer
from flaxlayer.summaries.module_parts import ModuleParts
from flaxlayer.summaries.printing import console_width, display_html, print_lines, writes_guides
from flaxlayer.summaries.summary_html import html_page
from flaxlayer.summaries.summary_text import text_lines
from flaxlayer.summaries.variable_rows import table_rows

__all__ = ["SummaryMethods"]

_MOST_ROWS = 100


class SummaryMethods:
    """What a `FlaxLayer` and its methods show of themselves."""

    name: str
    _runner: Runner
    # `keras.Model.summary(expand_nested=True)` gives each of them a row.
    layers = ModuleParts()

    def summary(
        self,
        *,
        depth: int | None = None,
        max_rows: int = _MOST_ROWS,
        line_length: int | None = None,
        print_fn: Callable[[str], object] | None = None,
    ) -> None:
        """Prints what the layer runs, and its variables as a tree, as `keras.Model.summary` does.

        Each variable has its shape, the dtype that it is stored in, its elements, its bytes, and
        its role: `trainable`, `frozen` (by `freeze`, or with the layer), `state`, or `constant`,
        such as integers in `params`. No value is read. A notebook shows the tree as HTML, which a
        layer also is there by itself.

        Args:
            depth: How many names of a path have rows of their own, 1 for collections alone; None
                for as many as there is room for.
            max_rows: How many rows there may be.
            line_length: The characters of a line, None for the width of the terminal.
            print_fn: Gets the whole text, in place of the standard output.

        Raises:
            CallArgumentError: If a number is no whole one, or less than 1.

        Example:

        ```python
        >>> import flax.linen as nn
        >>> from flaxlayer import FlaxLayer
        >>> layer = FlaxLayer(nn.Dense(2), name="head")
        >>> layer.build((None, 3))
        >>> layer.freeze("params/bias")
        >>> layer.summary()
        FlaxLayer 'head'
          runs         Dense.__call__
          arguments    inputs
          inputs       inputs: float32[?,3]
          outputs      float32[?,2]
          rng streams  params (init)
        <BLANKLINE>
        variable   shape   dtype    count  size  role
        params                          8  32 B  1 of 2 frozen
        ├─ bias    (2,)    float32      2   8 B  frozen
        └─ kernel  (3, 2)  float32      6  24 B  trainable
        <BLANKLINE>
        Total: 8 (32 B)
        Frozen: 2 (8 B)
        Trainable: 6 (24 B)

        ```
        """
        check = partial(check_count, owner=f"The summary of {self.name!r}")
        depth = None if depth is None else check(depth, "depth")
        width = None if line_length is None else check(line_length, "line_length")
        most = check(max_rows, "max_rows")
        said = summarize_layer(self._runner)
        rows = table_rows(said.entries, depth=depth, most=most)
        if print_fn is None and display_html(html_page(said, rows)):
            return
        plain = print_fn is None and not writes_guides()
        text = text_lines(said, rows, width=width or console_width(), ascii_only=plain)
        print_lines(text, print_fn)

    def _repr_html_(self) -> str:
        """Returns what a notebook shows of the layer."""
        said = summarize_layer(self._runner)
        return html_page(said, table_rows(said.entries, depth=None, most=_MOST_ROWS))
