"""The harness asks core and layer for nothing that it then compares with a layer (T10)."""

import ast
from pathlib import Path

import pytest

import flaxlayer_core
import flaxlayer_testing

HOME = Path(flaxlayer_testing.__file__).parent

ANYWHERE = {
    f"flaxlayer_core.{name}"
    for name in flaxlayer_core.__all__
    if name.endswith("Error") and issubclass(getattr(flaxlayer_core, name), Exception)
}
"""What any file may import: the names of errors."""

ALLOWED = {
    # The layer under test where no other is given.
    "subject/subject.py": {"flaxlayer.FlaxLayer"},
    "scenario/course.py": {"flaxlayer.FlaxLayer"},
    "run/law_search.py": {"flaxlayer.FlaxLayer"},
    # The layer under test where no other is given, as a printed program names it.
    "scenario/scenario_program.py": {"flaxlayer.FlaxLayer"},
    # What a user does in the process that loads.
    "scenario/printed/file_routes.py": {"flaxlayer.register"},
    "scenario/fresh_process.py": {"flaxlayer.register"},
    "scenario/world.py": {"flaxlayer.FlaxLayer"},
    "run/fronts.py": {"flaxlayer.FlaxLayer"},
    "run/samples.py": {"flaxlayer.FlaxLayer"},
    "run/search.py": {"flaxlayer.FlaxLayer"},
    # A value that users give for a setting.
    "checks/settings.py": {"flaxlayer.CollectionPolicy"},
    # A setting that the layer under test is given.
    "scenario/layer_settings.py": {"flaxlayer.CollectionPolicy"},
    # Which backend Keras takes is settled before it is imported.
    "__init__.py": {"flaxlayer_core.require_backend"},
    "__main__.py": {"flaxlayer_core.prefer_jax", "flaxlayer_core.require_backend"},
    "plugin.py": {"flaxlayer_core.prefer_jax"},
}

TOLD = {"peek_rngs": "subject/layer.py", "init_rngs": None}
"""What a layer says of its keys, and the one file that asks for it, to compare."""

ORACLE = ("flaxlayer_testing.oracle", "flaxlayer_testing.errors")


def _imported(tree):
    """Yields the full names that a file imports, those of an attribute of `import_module` too."""
    of_modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and _module(node.value):
            of_modules[node.value] = f"{_module(node.value)}.{node.attr}"
        elif _module(node):
            of_modules.setdefault(node, _module(node))
    yield from of_modules.values()


def _module(node):
    named = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module")
    named = named or (isinstance(node, ast.Call) and ast.unparse(node.func) == "__import__")
    return node.args[0].value if named and isinstance(node.args[0], ast.Constant) else None


def borrowed(home):
    """Returns what the files of a folder take from core, layer, or a layer's own word."""
    found = []
    for path in sorted(home.rglob("*.py")):
        name, tree = path.relative_to(home).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
        allowed = ANYWHERE | ALLOWED.get(name, set())
        ours = [full for full in _imported(tree) if full.split(".")[0] in PACKAGES]
        found += [f"{name}: {full}" for full in ours if full not in allowed]
        asked = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        found += [f"{name}: {told}" for told in sorted(asked & set(TOLD)) if TOLD[told] != name]
        if name.startswith("oracle/"):
            own = [full for full in _imported(tree) if full.startswith("flaxlayer_testing")]
            found += [f"{name}: {full}" for full in own if not full.startswith(ORACLE)]
    return found


PACKAGES = ("flaxlayer", "flaxlayer_core")


@pytest.mark.law("T10")
def test_nothing_of_core_or_layer_is_borrowed():
    assert borrowed(HOME) == []


@pytest.mark.law("T10")
@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("oracle/nnx_call.py", "from flaxlayer_core import dce", "flaxlayer_core.dce"),
        ("checks/a.py", "import flaxlayer_core.jaxprs.traced", "flaxlayer_core.jaxprs.traced"),
        ("checks/a.py", "from flaxlayer import FlaxLayer", "flaxlayer.FlaxLayer"),
        ("run/search.py", "from flaxlayer import register", "flaxlayer.register"),
        ("checks/a.py", "def f():\n    import flaxlayer as x", "flaxlayer"),
        ("plugin.py", "import_module('flaxlayer_core').dce()", "flaxlayer_core.dce"),
        ("checks/a.py", "x = importlib.import_module('flaxlayer.layer')", "flaxlayer.layer"),
        ("checks/a.py", "x = __import__('flaxlayer')", "flaxlayer"),
        ("checks/a.py", "rngs = layer.peek_rngs(training=True)", "peek_rngs"),
        ("subject/layer.py", "ask = layer.init_rngs", "init_rngs"),
        (
            "oracle/nnx_call.py",
            "from flaxlayer_testing.subject.layer import arrays_of",
            "flaxlayer_testing.subject.layer.arrays_of",
        ),
    ],
)
def test_what_is_borrowed_is_found(tmp_path, name, text, told):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert borrowed(tmp_path) == [f"{name}: {told}"]


@pytest.mark.law("T10")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("checks/a.py", "from flaxlayer_core import FlaxLayerError, DecodeModuleError"),
        ("run/search.py", "from flaxlayer import FlaxLayer"),
        ("plugin.py", "importlib.import_module('flaxlayer_core').prefer_jax()"),
        ("subject/layer.py", "layer.peek_rngs(training=True)"),
        ("checks/a.py", "from flaxlayer_testing.subject.layer import arrays_of"),
    ],
)
def test_what_may_be_borrowed_is_passed_over(tmp_path, name, text):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert borrowed(tmp_path) == []


@pytest.mark.law("T10")
def test_every_exception_is_needed():
    for name, names in ALLOWED.items():
        tree = ast.parse((HOME / name).read_text(encoding="utf-8"))
        assert names <= set(_imported(tree)), name
