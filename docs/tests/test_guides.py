"""The blocks of each guide are one program, which runs."""

import re
import sys
import types
from pathlib import Path

import pytest

GUIDES = sorted((Path(__file__).parents[1] / "guides").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def program(path):
    """The blocks of a page, each on the lines that it has there."""
    text, code, end = path.read_text(encoding="utf-8"), "", 0
    for block in BLOCK.finditer(text):
        code += "\n" * text.count("\n", end, block.start(1)) + block.group(1)
        end = block.end(1)
    return code


def run(path, monkeypatch):
    module = types.ModuleType(f"guide_{path.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(program(path), str(path), "exec"), vars(module))


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_the_program_of_a_guide_runs(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run(path, monkeypatch)


def test_a_program_that_fails_is_noticed(monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nassert 1 == 2\n```\n")
    with pytest.raises(AssertionError):
        run(page, monkeypatch)
