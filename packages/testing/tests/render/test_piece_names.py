"""What the text of a module may refer to."""

from dataclasses import replace
from types import ModuleType

import pytest

from flaxlayer_testing.render import pieces
from flaxlayer_testing.render.dialects import DIALECTS
from flaxlayer_testing.render.piece_names import named_pieces, pieces_of
from flaxlayer_testing.render.pieces import of_nnx_modules
from flaxlayer_testing.spec.operations import OPERATIONS
from flaxlayer_testing.spec.operations.forms import Form


def file(**names):
    made = ModuleType("made")
    made.__all__ = sorted(names)
    vars(made).update(names, hidden=0)
    return made


def test_of_two_pieces_of_one_name_the_first_counts():
    assert named_pieces(file(a=1, b=2), file(b=3, c=4)) == {"a": 1, "b": 2, "c": 4}


def test_a_dialect_has_its_own_pieces_and_those_of_both():
    shared = set(pieces.__all__) & set(of_nnx_modules.__all__)
    assert "count_steps" in shared
    for name in shared:
        assert DIALECTS["linen"].pieces[name] is getattr(pieces, name)
        assert DIALECTS["nnx"].pieces[name] is getattr(of_nnx_modules, name)
    assert DIALECTS["nnx"].pieces["Record"] is pieces.Record


@pytest.mark.parametrize("framework", DIALECTS)
def test_pieces_may_stand_beside_their_operation(framework, monkeypatch):
    def cubed(x):
        return x**3

    cube = replace(OPERATIONS["cast"], forms={framework: Form(pieces=(cubed,))})
    monkeypatch.setattr("flaxlayer_testing.render.piece_names.OPERATIONS", {"cube": cube})
    found = {name: pieces_of(name) for name in DIALECTS}
    assert found == {name: {"cubed": cubed} if name == framework else {} for name in DIALECTS}
