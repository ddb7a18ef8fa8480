"""Draws what a module takes beside its inputs, and what a call gives for it (T1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flaxlayer_testing.generate.draw.drawer import Draw
from flaxlayer_testing.generate.draw.interfaces import Wish
from flaxlayer_testing.spec.extras import EXTRA_KINDS, Extra, Given
from flaxlayer_testing.spec.spec import ModuleSpec
from flaxlayer_testing.spec.typing import extended_output

__all__ = ["EXTRA_FEATURES", "draw_extras", "draw_given"]

_FORMS = ((False, False), (False, True), (True, False), (True, True))
"""Whether a parameter is given by keyword only, and whether it has a default."""

_BY_FORM = {"keyword_argument": 0, "default_argument": 1}

EXTRA_FEATURES = frozenset({*(kind.feature for kind in EXTRA_KINDS.values()), *_BY_FORM})
"""Features that extra parameters show."""


def draw_extras(draw: Draw, spec: ModuleSpec, wish: Wish) -> ModuleSpec:
    """Draws the extra parameters of a spec.

    Args:
        draw: What to draw with.
        spec: A spec that is complete but for them.
        wish: What the module has to show.

    Returns:
        The spec with those that are wanted, and sometimes with others.
    """
    kinds = [name for name, kind in EXTRA_KINDS.items() if kind.feature not in wish.without]
    wanted = [name for name in kinds if EXTRA_KINDS[name].feature in wish.all]
    count = draw.one_of((0, 0, 0, 0, 0, 0, 1, 1, 2))
    if not wanted and wish.all & _BY_FORM.keys():
        count = max(count, 1)
    names = {*wanted, *(draw.one_of(kinds) for _ in range(count if kinds else 0))}
    if not names or extended_output(spec) is None:
        return spec
    in_order = [name for name in EXTRA_KINDS if name in names]
    extras = tuple(_draw_extra(draw, name, wish, first=not at) for at, name in enumerate(in_order))
    return replace(spec, extras=extras)


def _draw_extra(draw: Draw, name: str, wish: Wish, *, first: bool) -> Extra:
    forms = [form for form in _FORMS if not _shown(form) & wish.without]
    for kinds in (wish.features, wish.hoped) if first else ():
        forms = [form for form in forms if kinds & _BY_FORM.keys() <= _shown(form)] or forms
    return Extra(name, *draw.one_of(forms))


def _shown(form: tuple[bool, bool]) -> frozenset[str]:
    return frozenset(name for name, at in _BY_FORM.items() if form[at])


def draw_given(draw: Draw, spec: ModuleSpec) -> tuple[tuple[str, Given], ...]:
    """Draws what a call gives for the extra parameters of a spec.

    Args:
        draw: What to draw with.
        spec: A spec.

    Returns:
        Values by name; some of those with a default are left to it.
    """
    drawn = [(extra.name, _draw_value(draw, extra)) for extra in spec.extras]
    return tuple((name, values[0]) for name, values in drawn if values)


def _draw_value(draw: Draw, extra: Extra) -> Sequence[Given]:
    values = extra.kind.values
    if not values or (extra.optional and draw.one_of((True, False, False))):
        return ()
    return (draw.one_of(values),)
