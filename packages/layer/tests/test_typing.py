"""The words for what is passed around are defined, and each says what it is for."""

import ast
import inspect
import itertools

import flaxlayer_core
from flaxlayer import typing

OF_CORE = {"Array", "Path", "PyTree", "Rngs", "Variables"}


def explained():
    """Words with a text below their definition, or a docstring of their own."""
    body = ast.parse(inspect.getsource(typing)).body
    below = {
        node.target.id
        for node, after in itertools.pairwise(body)
        if isinstance(node, ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }
    return below | {node.name for node in body if isinstance(node, ast.ClassDef)}


def test_each_word_is_explained_here_or_is_one_of_core():
    assert explained() == set(typing.__all__) - OF_CORE
    assert sorted(typing.__all__) == typing.__all__


def test_a_word_of_core_means_what_it_means_there():
    for name in OF_CORE & set(typing.__all__):
        assert getattr(typing, name) is getattr(flaxlayer_core, name)
