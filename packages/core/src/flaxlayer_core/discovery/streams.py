"""Rng streams: found by asking the module, mode by mode (R1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flax.errors import InvalidRngError

from flaxlayer_core.compat.private_linen import StreamWanted
from flaxlayer_core.modules.nnx.supplied_rngs import recording_supplied
from flaxlayer_core.modules.protocol import FlaxModule

__all__ = ["find_streams"]

Result = TypeVar("Result")


def find_streams(
    flax_module: FlaxModule,
    run: Callable[[tuple[str, ...]], Result],
    *,
    start: tuple[str, ...],
    listed: tuple[str, ...] | None,
    optimistic: bool,
    supplies: bool = False,
) -> tuple[Result, tuple[str, ...]]:
    """Evaluates a module with ever more streams until it has those that it draws from.

    Args:
        flax_module: The module behind core's protocol.
        run: Evaluates the module abstractly with the given streams.
        start: Streams to offer from the beginning.
        listed: The user's own list, which ends the search; None to search.
        optimistic: Whether to offer a stream that the module only asks about with `has_rng`.
        supplies: Whether a parameter of the method gets streams (R5), which ask by themselves.

    Returns:
        The result of the evaluation with exactly the streams that were drawn from, and these.

    Raises:
        flax.errors.InvalidRngError: If a stream that was offered does not reach the module.
    """
    free = flax_module.facts.offered_streams(init="params" in start) if listed is None else None
    if free is not None and not supplies:
        with flax_module.record_streams() as record:
            result = run(free)
        return result, tuple(sorted(record.drawn & set(free)))
    offered = dict.fromkeys((*start, *(free or ())) if listed is None else listed)
    while True:
        with flax_module.record_streams() as record, recording_supplied(record):
            record.optimistic = optimistic
            record.offered = frozenset(offered) if listed is None else None
            try:
                result = run(tuple(offered))
            except StreamWanted:
                offered.update(dict.fromkeys(sorted(record.wanted)))
                continue
            except InvalidRngError:
                if listed is not None or record.missing is None or record.missing in offered:
                    raise
                offered[record.missing] = None
                continue
        if listed is not None or record.wanted <= set(offered):
            break
        offered.update(dict.fromkeys(sorted(record.wanted)))
    drawn = tuple(sorted(record.drawn & set(offered)))
    if "params" in start:
        drawn = tuple(sorted({*drawn, "params"}))
    if set(drawn) == set(offered):
        return result, drawn
    # has_rng must answer as it will in calls, which pass only what is drawn.
    return run(drawn), drawn
