"""The packages keep the rules of the house, and each rule can fail."""

import functools
import itertools
import subprocess
from pathlib import Path

import pytest

from conformance import house
from conformance.house import CORE, LAYER, ROOT, TESTING, Package

PACKAGES = pytest.mark.parametrize(
    "package", [CORE, LAYER, TESTING], ids=["core", "layer", "testing"]
)
BOTH = pytest.mark.parametrize("package", [CORE, LAYER], ids=["core", "layer"])

LOOKS_INSIDE = {
    "conformance/faults": "a faulty part stands in the place of a sound one",
    "conformance/hostile/bystanders.py": "a refused file must leave the tables of names alone",
    "packages/layer/tests": "a failed load must do so too; counts of what is compiled",
}
"""Folders and files that import from elsewhere than the root of a package, and why."""

OF_ITS_OWN_TESTS = [
    "MaskUse",
    "Static",
    "decide_role",
    "fill_missing",
    "infer_module_spec",
    "replace_leaves",
    "same_structure",
]
"""What stands in core's root, though its own tests alone import it from there."""


ASKS_FRAMEWORK = {
    "flaxlayer_testing": {
        "oracle.raw_calls": "any module may be given, and it does not say what it is",
        "run.naming": "an object of nnx shows all its arrays where a linen module shows its fields",
        "spec.spec": "a stored case of linen has the form that it had before there was nnx",
    },
}
"""Files that ask what a module is of, and why."""


def _files(pattern, package):
    """The files of the repository that are not of a package."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = map(Path, done.stdout.splitlines())
    home = package.root.parents[1].relative_to(ROOT)
    return sorted(path for path in paths if home not in path.parents and (ROOT / path).exists())


@functools.cache
def _imports_elsewhere(package):
    return {path: house.imports(ROOT / path) for path in _files("*.py", package)}


@PACKAGES
def test_no_file_imports_itself_by_way_of_others(package):
    assert house.circles(package) == []


@PACKAGES
def test_rooms_import_those_below_them_alone(package):
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert house.upward_arrows(package, house.documented_order(page, package)) == []


@PACKAGES
def test_siblings_are_imported_by_their_own_path(package):
    assert house.root_imports(package) == []


def test_names_of_a_package_are_imported_from_its_root():
    inside = {
        path
        for package in (CORE, LAYER)
        for path, names in _imports_elsewhere(package).items()
        if house.deep_imports(names, package)
    }
    places = {path: [p for p in LOOKS_INSIDE if path.is_relative_to(p)] for path in inside}
    assert sorted(path for path in places if not places[path]) == []
    assert {place for found in places.values() for place in found} == set(LOOKS_INSIDE)


def test_the_root_of_core_has_what_others_import():
    name, texts = CORE.name, [*CORE.files.values(), *(ROOT / path for path in _files("*.md", CORE))]
    imported = {
        *(n for names in _imports_elsewhere(CORE).values() for n in house.names_from(names, CORE)),
        *(n for path in texts for n in house.doc_names(path.read_text(encoding="utf-8"), name)),
    }
    assert sorted(house.root_names(CORE) - imported) == OF_ITS_OWN_TESTS
    assert sorted(imported - house.root_names(CORE)) == []


@PACKAGES
def test_no_two_files_share_a_name(package):
    assert house.equal_names(package) == []


@PACKAGES
def test_what_is_private_elsewhere_stands_in_compat(package):
    assert house.private_uses(package) == []


@PACKAGES
def test_only_backends_ask_which_backend_keras_has(package):
    assert house.backend_branches(package) == []


@PACKAGES
def test_no_file_branches_on_the_framework(package):
    found = house.framework_branches(package)
    assert found == [module for module in ASKS_FRAMEWORK.get(package.name, {})]


@BOTH
def test_every_file_is_reached_from_the_root(package):
    assert house.unreached(package) == []


@BOTH
def test_every_file_has_tests_of_its_name(package):
    assert house.untested(package, package.root.parents[1] / "tests") == []


# Each rule can fail.


@pytest.fixture
def made(tmp_path):
    """Makes a package of the text of each of its files."""
    folders = (tmp_path / str(number) / "made" for number in itertools.count())

    def make(**texts):
        root = next(folders)
        for module, text in {"__init__": "", **texts}.items():
            path = root.joinpath(*module.split("_in_")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Package(root)

    return make


def test_a_circle_is_found_through_types_and_functions(made):
    late = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from made.low.b import B"
    parts = {
        "low_in_b": "def f():\n    from made import c",
        "c": "import made.a",
        "d": "import made.a",
    }
    assert house.circles(made(a=late, **parts)) == ["a <-> c <-> low.b"]
    assert house.circles(made(a="", **parts)) == []


def test_an_upward_arrow_and_a_room_without_a_place_are_found(made):
    package = made(low_in_a="from made.top import x", top="import made.low.a", new="")
    assert house.upward_arrows(package, ["low", "top", "old"]) == [
        "low.a -> top",
        "no place in the order: new",
        "no such room: old",
    ]
    assert house.upward_arrows(package, ["new", "top", "low"]) == ["top -> low.a"]


def test_the_order_is_that_of_the_page(made):
    tree = "others/   not these\n  a\nmade/   these\n  b  c   two\n  d/     one\nmore/\n  e"
    assert house.documented_order(f"Text.\n```\n{tree}\n```\n", made()) == ["b", "c", "d"]


@pytest.mark.parametrize(
    "text", ["from made import Name", "import made", "from . import b", "from .b import Name"]
)
def test_a_sibling_imported_through_the_root_is_found(made, text):
    assert house.root_imports(made(a=text, b="")) == ["a imports through the root"]
    assert house.root_imports(made(a="from made.b import Name", b="")) == []


@pytest.mark.parametrize(
    "text", ["from made.low import a", "import made.low", "import_module('made.low')"]
)
def test_a_name_from_the_inside_of_a_package_is_found(made, text):
    package = made(a=text, low_in___init__="", low_in_a="")
    (name,) = house.deep_imports(package.imports["a"], package)
    assert name.startswith("made.low")
    assert house.deep_imports(["made", "made.Name", "other.low.a"], package) == []


def test_what_others_import_of_a_root_is_found(made):
    package = made(__init__="__all__ = ['One', 'Two']")
    assert house.root_names(package) == {"One", "Two"}
    names = ["made", "made.One", "made.a", "made.a.Two", "other.Name"]
    assert house.names_from(names, made(a="")) == {"One"}
    text = "as in\n    >>> from made import One, Two as T\nfrom made import it is clear"
    assert house.doc_names(text, "made") == {"One", "Two"}


def test_two_files_of_one_name_are_found(made):
    assert house.equal_names(made(a="", low_in_a="", low_in_b="")) == ["a and low.a"]
    assert house.equal_names(made(a="", low_in___init__="", top_in___init__="")) == []


@pytest.mark.parametrize(
    "text",
    [
        "from jax._src import core",
        "from jax import _src",
        "import keras.src.backend",
        "from keras import src",
        "import jax as j\nj._src.core",
        "import keras\nkeras.src.backend",
        "from flax.linen import module\nmodule._context",
        "from tensorflow.compiler.tf2xla.python import xla",
    ],
)
def test_a_private_use_of_another_library_is_found(made, text):
    lines = house.private_uses(made(a=text))
    assert {line[:3] for line in lines} == {"a: "}
    assert house.private_uses(made(compat_in_a=text, low_in_compat=text)) == []


def test_public_uses_of_other_libraries_are_not_private(made):
    text = "import jax\njax.__version__\nfrom made.b import _x\nx._own\nfrom keras import srcs"
    assert house.private_uses(made(a=text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import keras\nkeras.backend.backend()",
        "from keras import backend\nbackend.backend()",
        "from keras.backend import backend",
        "import keras\nkeras.config.backend()",
    ],
)
def test_a_branch_on_the_backend_is_found(made, text):
    assert house.backend_branches(made(a=text)) == ["a"]
    assert house.backend_branches(made(backends_in_a=text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "if case.framework == other: pass",
        "x = 1 if framework != 'linen' else 2",
        "assert name in ('linen', 'both')",
        "match name:\n    case 'nnx':\n        pass",
        "if oracle.is_nnx(module): pass",
    ],
    ids=["attribute", "name", "membership", "match", "type"],
)
def test_a_branch_on_the_framework_is_found(made, text):
    assert house.framework_branches(made(a=text)) == ["a"]


@pytest.mark.parametrize(
    "text",
    ["form = forms['nnx']", "if framework in forms: pass", "if name == 'flax': pass"],
    ids=["table", "key", "other"],
)
def test_a_framework_is_a_key(made, text):
    assert house.framework_branches(made(a=text)) == []


def test_a_file_that_nothing_imports_is_found(made):
    parts = {"low_in_a": "import made.low.b", "low_in_b": "", "left": "import made.low.a"}
    assert house.unreached(made(__init__="from made.low.a import A", **parts)) == ["left"]


def test_a_file_without_tests_of_its_name_is_found(made, tmp_path):
    package = made(a="", low_in_b="", low_in_c="")
    (tmp_path / "low").mkdir()
    for test in ("test_a.py", "low/test_b.py", "test_c.py"):
        (tmp_path / test).touch()
    assert house.untested(package, tmp_path) == ["low/c.py"]
