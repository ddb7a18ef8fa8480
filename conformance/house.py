"""The rules of the house that a program can hold, about the files of a package and their imports.

A rule returns a line for each place that breaks it. An import counts wherever it stands: in a
function and under `TYPE_CHECKING` too.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = [
    "CORE",
    "LAYER",
    "ROOT",
    "TESTING",
    "Package",
    "backend_branches",
    "circles",
    "deep_imports",
    "doc_names",
    "documented_order",
    "equal_names",
    "framework_branches",
    "imports",
    "names_from",
    "private_uses",
    "root_imports",
    "root_names",
    "unreached",
    "untested",
    "upward_arrows",
]


@dataclass(frozen=True)
class Package:
    """The source of a package.

    Attributes:
        root: Its folder, named as the package.
    """

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @cached_property
    def files(self) -> dict[str, Path]:
        """The files by the paths of their modules below the package; that of the root is empty."""
        return {self._module(path): path for path in sorted(self.root.rglob("*.py"))}

    def _module(self, path: Path) -> str:
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def imports(self) -> dict[str, list[str]]:
        """What each file imports: full paths of modules, or of what stands in them."""
        return {module: imports(path) for module, path in self.files.items()}

    @cached_property
    def arrows(self) -> dict[str, set[str]]:
        """The files of the package that each of its files imports."""
        found = {module: set(map(self.file_of, names)) for module, names in self.imports.items()}
        return {module: {to for to in files if to is not None} for module, files in found.items()}

    def file_of(self, name: str) -> str | None:
        """Returns the file that an imported path is or stands in, None where it is no own one."""
        package, _, below = name.partition(".")
        if package != self.name:
            return None
        return below if below in self.files else below.rpartition(".")[0]

    def reach(self, start: str) -> set[str]:
        """Returns the files that a file imports, and that those import."""
        reached: set[str] = set()
        ahead = [start]
        while ahead:
            new = self.arrows.get(ahead.pop(), set()) - reached
            reached |= new
            ahead += new
        return reached


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> list[str]:
    """Returns the full paths that a file imports, those of `import_module("...")` too."""
    found: list[str] = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found += [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found += [part.value for part in node.args if isinstance(part, ast.Constant)]
    return found


def circles(package: Package) -> list[str]:
    """No file imports itself by way of others."""
    reached = {module: package.reach(module) for module in package.files}
    rounds = [
        sorted(other for other in reached[module] if module in reached[other])
        for module in package.files
        if module in reached[module]
    ]
    return sorted({" <-> ".join(map(_title, each)) for each in rounds})


def _title(module: str) -> str:
    return module or "the root"


def upward_arrows(package: Package, order: Sequence[str]) -> list[str]:
    """A room imports those before it alone; so there is no circle of rooms either.

    Args:
        package: The package.
        order: Its rooms, from the ground up: the folders and the files of its root.
    """
    rooms = {_room(module) for module in package.files if module}
    misfits = [f"no place in the order: {room}" for room in rooms - set(order)]
    misfits += [f"no such room: {room}" for room in order if room not in rooms]
    level = {room: number for number, room in enumerate(order)}
    for module, others in package.arrows.items():
        here = level.get(_room(module), len(order))
        upward = {other for other in others if level.get(_room(other), 0) > here}
        misfits += [f"{_title(module)} -> {other}" for other in upward]
    return sorted(misfits)


def documented_order(page: str, package: Package) -> list[str]:
    """Returns the rooms of a package from the ground up, as the tree on a page has them."""
    tree = page.split("```")[1].splitlines()
    start = next(number for number, line in enumerate(tree) if line.startswith(f"{package.name}/"))
    below = itertools.takewhile(lambda line: line.startswith("  "), tree[start + 1 :])
    names = (re.split(" {3,}", line.strip())[0] for line in below)
    return [name.rstrip("/") for line in names for name in line.split()]


def _room(module: str) -> str:
    return module.partition(".")[0]


def root_imports(package: Package) -> list[str]:
    """Siblings are imported by their own full path, never through the package's root."""
    through = [module for module, others in package.arrows.items() if module and "" in others]
    dotted = [
        module for module, names in package.imports.items() if any(n[0] == "." for n in names)
    ]
    return sorted(f"{_title(module)} imports through the root" for module in {*through, *dotted})


def deep_imports(names: Iterable[str], package: Package) -> list[str]:
    """Another package's names are imported from its root.

    Args:
        names: What a file of another package imports.
        package: The package.
    """
    return [name for name in names if package.file_of(name)]


def names_from(names: Iterable[str], package: Package) -> set[str]:
    """Returns what is imported from the root of a package."""
    own = {name for name in names if package.file_of(name) == ""}
    return {name.partition(".")[2] for name in own if name != package.name}


def doc_names(text: str, package: str) -> set[str]:
    """Returns what the examples in a text import from the root of a package."""
    name = r"\w+(?: as \w+)?"
    lines = re.findall(rf"^[> ]*from {package} import ({name}(?:, {name})*)$", text, re.MULTILINE)
    return {name.split()[0] for line in lines for name in line.split(", ")}


def root_names(package: Package) -> set[str]:
    """Returns the `__all__` of the root of a package."""
    for node in _tree(package.files[""]).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def equal_names(package: Package) -> list[str]:
    """No two files of a package share a name."""
    by_name = defaultdict(list)
    for module, path in package.files.items():
        if path.stem != "__init__":
            by_name[path.stem].append(module)
    return [" and ".join(modules) for modules in by_name.values() if len(modules) > 1]


_PRIVATE = re.compile(r"\._(?!_)|^keras\.src\b|^tensorflow\.(compiler|python)\b")


def private_uses(package: Package) -> list[str]:
    """What is private of another library is used in rooms and files called `compat` alone."""
    found = {
        f"{module}: {name}"
        for module, path in package.files.items()
        if "compat" not in module.split(".")
        for name in [*package.imports[module], *_attributes(_tree(path))]
        if name.partition(".")[0] != package.name and _PRIVATE.search(name)
    }
    return sorted(found)


def _attributes(tree: ast.Module) -> Iterator[str]:
    """Yields the full paths of attributes of what is imported as a whole."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {
                a.asname or _room(a.name): a.name if a.asname else _room(a.name) for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            modules |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.fullmatch(r"[\w.]+", text := ast.unparse(node)):
            base, _, rest = text.partition(".")
            if base in modules:
                yield f"{modules[base]}.{rest}"


_ASKS = ("keras.backend.backend", "keras.config.backend")


def backend_branches(package: Package) -> list[str]:
    """Which backend Keras has is asked in the room of backends alone."""
    return [
        module
        for module, path in package.files.items()
        if _room(module) != "backends"
        and not {*package.imports[module], *_attributes(_tree(path))}.isdisjoint(_ASKS)
    ]


def framework_branches(package: Package) -> list[str]:
    """The name of a framework is a key of a table: no file compares it, or asks what a module is.

    What differs stands in the table's entries, `*_dialect` and their like.
    """
    return [
        module
        for module, path in package.files.items()
        if any(map(_asks_framework, ast.walk(_tree(path))))
    ]


_FRAMEWORKS = frozenset({"linen", "nnx"})


def _asks_framework(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).rpartition(".")[2] == "is_nnx"
    if isinstance(node, ast.MatchValue):
        return not _texts(node).isdisjoint(_FRAMEWORKS)
    if not isinstance(node, ast.Compare):
        return False
    named = {ast.unparse(part).rpartition(".")[2] for part in (node.left, *node.comparators)}
    equal = all(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
    return (equal and "framework" in named) or not _texts(node).isdisjoint(_FRAMEWORKS)


def _texts(node: ast.AST) -> set[str]:
    constants = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def unreached(package: Package) -> list[str]:
    """Every file is imported, by way of others, from the root."""
    reached = package.reach("")
    return [m for m, path in package.files.items() if path.stem != "__init__" and m not in reached]


def untested(package: Package, tests: Path) -> list[str]:
    """Every file has a test file of its name, in the same place among the tests."""
    own = [path.relative_to(package.root) for path in package.files.values()]
    return [
        path.as_posix()
        for path in own
        if path.stem != "__init__" and not (tests / path.parent / f"test_{path.name}").exists()
    ]


ROOT = Path(__file__).parents[1]
CORE = Package(ROOT / "packages/core/src/flaxlayer_core")
LAYER = Package(ROOT / "packages/layer/src/flaxlayer")
TESTING = Package(ROOT / "packages/testing/src/flaxlayer_testing")
