"""The code of the READMEs runs, with the wheels in fresh environments."""

import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
READMES = {name: ROOT / name / "README.md" for name in (".", "packages/layer")}
DOCTESTS = ROOT / "packages" / "testing" / "README.md"
THIS = "{}.{}".format(*sys.version_info)
# Those of a release; else this one.
PYTHONS = os.environ.get("FLAXLAYER_PYTHONS", THIS).split()
TELLS = 'os.environ["KERAS_BACKEND"] = "{}"'
PRINTS = """
import flaxlayer, sys
print(keras.backend.backend(), flaxlayer.__file__, "{}.{}".format(*sys.version_info), sep="\\n")
"""
pytestmark = pytest.mark.long


def program(path):
    """Returns the blocks of Python of a page of Markdown as one program."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.DOTALL | re.M))


@pytest.fixture(scope="module", params=["without TensorFlow", "with TensorFlow"])
def fresh(request, environment, run):
    """Python in an environment with the three wheels and what they ask for, and a home."""
    extras = ["tensorflow"] if request.param == "with TensorFlow" else []
    python = environment(THIS, *extras)

    def start(*words, home, **variables):
        return run(home, python, *words, HOME=str(home), **variables)

    start.has_tensorflow = bool(extras)
    return start


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
@pytest.mark.parametrize("python", PYTHONS)
def test_the_ten_lines_run_with_each_python(python, backend, environment, run, tmp_path):
    *lines, check = program(READMES["."]).partition("import numpy as np\nfrom flaxlayer_testing")
    text = lines[0].replace('os.environ["KERAS_BACKEND"] = "jax"', TELLS.format(backend))
    assert "model.save(" in text
    assert "check_module" in check
    (tmp_path / "program.py").write_text(text + PRINTS)
    fresh = environment(python, *(["tensorflow"] if backend == "tensorflow" else []))
    found, where, version = run(tmp_path, fresh, "program.py", HOME=str(tmp_path)).splitlines()[-3:]
    assert found == backend
    assert Path(where).is_relative_to(fresh.parents[1])
    assert version == python
    assert (tmp_path / "net.keras").stat().st_size > 1000


@pytest.mark.parametrize("name", READMES)
def test_the_code_of_a_readme_runs_on_jax(name, fresh, tmp_path):
    text = program(READMES[name])
    assert "FlaxLayer(" in text
    (tmp_path / "program.py").write_text(text + "\nprint(keras.backend.backend())\n")
    text = fresh("program.py", home=tmp_path)
    assert text.splitlines()[-1] == "jax"
    assert "failed" not in text


def test_the_examples_of_the_harness_run(fresh, tmp_path):
    assert ">>> report = check_module(" in DOCTESTS.read_text()
    options = ["-o", "ELLIPSIS", "-o", "NORMALIZE_WHITESPACE"]
    assert fresh("-m", "doctest", *options, DOCTESTS, home=tmp_path) == ""


def test_the_command_runs_on_jax_where_nobody_chose(fresh, tmp_path):
    words = ["flax.linen:Dense", "--set", "features=2", "--input", "float32[2,3]"]
    command = ["-m", "flaxlayer_testing", "check", *words, "--only", "check_inference"]
    for _ in range(2):  # at the second time there is the file that Keras writes
        assert fresh(*command, home=tmp_path).splitlines()[-2].endswith(" on jax")
    assert '"backend": "tensorflow"' in (tmp_path / ".keras" / "keras.json").read_text()


def test_importing_the_layer_explains_the_backend_that_is_missing(fresh, tmp_path):
    code = "try:\n    import flaxlayer\nexcept ImportError as error:\n    print(error)"
    text = fresh("-c", code, home=tmp_path)
    assert text.startswith("Keras cannot be imported") != fresh.has_tensorflow
