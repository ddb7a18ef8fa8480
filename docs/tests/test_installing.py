"""What a page tells its reader to install brings what its programs import."""

import ast
import functools
import importlib.metadata
import re
import shlex
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

DOCS = Path(__file__).parents[1]
PAGES = sorted(path for room in ("start", "tutorials", "guides") for path in DOCS.glob(f"{room}/*"))
USUAL = ["flaxlayer", "flaxlayer-testing"]  # what the first page of the site installs
BLOCK = re.compile(r"^```(?:\{code-cell\} )?python\n((?::.*\n)?)(.*?)^```$", re.DOTALL | re.M)
INSTALL = re.compile(r"pip install ([^`\n]+)")


def asked_for(text):
    """The requirements of a page; those of the first page where it names none."""
    return [word for line in INSTALL.findall(text) for word in shlex.split(line)] or USUAL


def imported(text):
    """The packages that the blocks of a page import; those that the reader does not see, too."""
    trees = [ast.parse(body) for _, body in BLOCK.findall(text)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names


def installed_by(requirements):
    """The distributions that requirements bring, with what those ask for themselves."""
    left, found = [Requirement(one) for one in requirements], {}
    while left:
        one = left.pop()
        known = found.setdefault(normal(one.name), set())
        extras = {"", *one.extras} - known
        known |= extras
        for text in requirements_of(one.name) if extras else ():
            further = Requirement(text)
            if not further.marker or any(further.marker.evaluate({"extra": e}) for e in extras):
                left.append(further)
    return set(found)


def requirements_of(name):
    try:
        return importlib.metadata.requires(name) or ()
    except importlib.metadata.PackageNotFoundError:  # the reader's own
        return ()


@functools.cache
def homes():
    return importlib.metadata.packages_distributions()


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def missing(text):
    """What a page imports, and no requirement of it brings."""
    brought = installed_by(asked_for(text))
    # What is installed as editable, as ours, has no files there, and the name of its package.
    return sorted(
        name for name in imported(text) if not brought & set(map(normal, homes().get(name, [name])))
    )


@pytest.mark.parametrize("path", PAGES, ids=[f"{path.parent.name}-{path.stem}" for path in PAGES])
def test_what_a_page_installs_brings_what_it_imports(path):
    assert missing(path.read_text(encoding="utf-8")) == []


def test_a_package_that_a_page_forgets_is_found():
    program = "```python\nimport keras, sklearn.datasets\nfrom matplotlib import pyplot\n```\n"
    assert missing(program) == ["matplotlib", "sklearn"]
    assert missing(f"`pip install flaxlayer scikit-learn`\n{program}") == ["matplotlib"]
    assert missing(f"```sh\npip install flaxlayer scikit-learn matplotlib\n```\n{program}") == []
