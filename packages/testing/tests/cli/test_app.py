"""The command: what it runs, what it writes, and how it ends (T2, T8)."""

import json
import shlex
import statistics
import sys
from dataclasses import replace

import pytest
from flax import nnx
from typer.testing import CliRunner

from flaxlayer_testing import (
    TOLERANCES,
    Case,
    LoadTargetError,
    ModuleSpec,
    Node,
    ReadRecordError,
    Record,
    ValueType,
)
from flaxlayer_testing.cli.app import app
from flaxlayer_testing.run.failure import Failure
from flaxlayer_testing.run.fault_search import count_examples, find_fault
from flaxlayer_testing.run.loading import load_object, parse_inputs, parse_settings
from flaxlayer_testing.run.samples import ENTRIES, FAULTS, load_entries

NET = """
import flax.linen as nn
from flaxlayer_testing.run.samples import FAULTS, Sample

class Net(nn.Module):
    features: int = 2

    @nn.compact
    def __call__(self, x, *, enabled=False):
        return nn.Dropout(0.5, deterministic=not enabled)(nn.Dense(self.features)(x))

def entries():
    return [Sample(f"entry{n}", lambda: ENTRY, ("linen.Dense",)) for n in range(2)]

import numpy as np
ENTRY = (nn.Dense(2), (np.ones((2, 3), np.float32),))
NEGATES = FAULTS[:1]

def broken():
    raise AssertionError("a law is broken")

def probed():
    whole = Sample("whole", lambda: ENTRY, ("law.W1", "linen.Dense"), probe=lambda: None)
    return [*entries(), whole, Sample("halved", lambda: ENTRY, probe=broken)]
"""
WRONG = "flaxlayer_testing.run.samples:NegatesOutputs"
QUICK = ["--only", "check_inference"]
INPUT = ["--input", "float32[2,3]"]
CHECK = ["check", "my_net:Net", *INPUT, "--training-arg", "enabled"]
RELU = Node("activation", (0,), (("function", "relu"),))
nnx_is_there = pytest.mark.skipif(not hasattr(nnx, "data"), reason="asks for Flax 0.11")
CASE = Case(ModuleSpec((ValueType((3,)),), (RELU,), (1,)))


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A directory of a user's own, with a module in it."""
    (tmp_path / "my_net.py").write_text(NET)
    (tmp_path / "raises.py").write_text("raise RuntimeError('not today')")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_net", None)


def run(*words):
    return CliRunner().invoke(app, list(words))


def last_line(result):
    return result.stdout.rstrip().splitlines()[-1]


@pytest.mark.law("T8")
def test_check_passes_with_0_and_writes_what_was_asked(project):
    files = ["--json", "out/r.json", "--html", "out/r.html", "--junit", "out/r.xml"]
    result = run(*CHECK, "--set", "features=3", *QUICK, *files)
    assert result.exit_code == 0, result.output
    assert last_line(result) == "1 module, 1 passed"
    data = json.loads((project / "out/r.json").read_text())
    assert data["reports"][0]["entries"][0]["status"] == "passed"
    assert (project / "out/r.html").read_text().startswith("<!doctype html>")
    assert (project / "out/r.xml").read_text().startswith("<testsuites")


@pytest.mark.law("T8")
@pytest.mark.parametrize("layer", [None, WRONG], ids=["passes", "fails"])
def test_a_command_says_what_to_try_next_where_nothing_failed(layer):
    result = run(*CHECK, "--set", "features=3", *QUICK, *(["--layer", layer] if layer else []))
    said = [line for line in result.stderr.splitlines() if line.startswith("Next: ")]
    assert len(said) == (0 if layer else 1)
    assert "Next: " not in result.stdout


@pytest.mark.law("T8")
def test_check_fails_with_1_and_its_last_line_replays_it():
    result = run(*CHECK, "--set", "features=3", "--layer", WRONG, "--seed", "4", *QUICK)
    assert result.exit_code == 1
    command = shlex.split(last_line(result).removeprefix("Replay: "))
    assert command[:4] == ["flaxlayer-conformance", "check", "my_net:Net", "--input"]
    again = run(*command[1:])
    assert again.exit_code == 1
    assert last_line(again) == last_line(result)


@pytest.mark.law("T8")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], ""),
        (["check", "my_net:Net"], "--input"),
        (["check", "my_net:Nothing", *INPUT], "has no attribute 'Nothing'"),
        (["check", "nowhere:Net", *INPUT], "No module named 'nowhere'"),
        (["check", "my_net.Net", *INPUT], "no colon between a module and a name"),
        (["check", "./nets/my_net.py:Net", *INPUT], "in place of its file, as 'nets.my_net:Net'."),
        (["check", "my_net:Net", "--input", "float32"], "dtype[shape], such as"),
        (["check", "my_net:Net", "--input", "floot[2]"], "The input 'floot[2]' cannot be made."),
        ([*CHECK, "--set", "features=three"], "The setting 'features=three' cannot be read."),
        ([*CHECK, "--set", "width=3"], "my_net:Net cannot be made."),
        ([*CHECK[:-1], "missing"], "Raw Flax cannot initialise Net with these inputs."),
        ([*CHECK, "--only", "check_nothing"], "There is no such check."),
        (["search", "--examples", "0"], "--examples"),
        (["zoo", "--from", "my_net:nothing"], "'my_net:nothing' cannot be loaded."),
        (["zoo", "--from", "my_net:entries", "--entry", "third"], "one of: entry0, entry1"),
        (["faults", "--from", "nowhere:x"], "No module named 'nowhere'"),
        (["replay", "nothing.json"], "nothing.json holds no failure to replay."),
        (["report", "my_net.py"], "my_net.py cannot be read."),
        (["report", "."], ". cannot be read."),
        (["check", "..:x", *INPUT], "'..:x' cannot be loaded."),
        (["check", "raises:Net", *INPUT], "RuntimeError: not today"),
        ([*CHECK, "--seed", "-1"], "--seed"),
        ([*CHECK, "--seed", str(2**32)], "--seed"),
        (["search", "--examples", "9" * 30], "--examples"),
        (["check", "my_net:Net", "--input", f"float32[{10**12}]"], "elements"),
        (["check", "my_net:Net", "--input", f"int32[2]<{10**30}"], "below a bound"),
        (["check", "my_net:Net", "--input", f"float32[{'9' * 5000}]"], "cannot be made"),
        ([*CHECK, "--set", "features=" + "[" * 100_000], "nested too deeply"),
        ([*CHECK, "--set", "features=-3"], "Raw Flax cannot initialise Net"),
        (["report", "deep.json"], "nested too deeply"),
        (["replay", "deep.json"], "nested too deeply"),
    ],
)
def test_misuse_ends_with_2_and_says_what_to_do(words, message):
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.law("T1")
def test_search_saves_the_smallest_failure_which_replay_runs_again(project):
    words = ["--examples", "3", "--layer", WRONG, "--save", "out/failure.json", *QUICK]
    result = run("search", *words)
    assert result.exit_code == 1
    layer = f"--layer {WRONG}"
    replay = f"flaxlayer-conformance replay out/failure.json {layer} --only check_inference"
    assert last_line(result) == f"Replay: {replay}"
    assert "class Model(nn.Module):" in result.stdout
    (node,) = Failure.load(project / "out/failure.json").case.spec.nodes
    assert node.op == "dense"

    again = run(*replay.split()[1:])
    assert (again.exit_code, last_line(again)) == (1, last_line(result))
    named = run("replay", "out/failure.json")
    assert (named.exit_code, WRONG in named.output) == (2, True)
    healed = run("replay", "out/failure.json", "--layer", "flaxlayer:FlaxLayer")
    assert (healed.exit_code, last_line(healed)) == (0, "1 module, 1 passed")


@pytest.mark.law("S6")
def test_a_file_names_no_code_to_import(project):
    Failure(CASE, "check_inference", "raises:Layer").save(project / "f.json")
    result = run("replay", "f.json")
    assert (result.exit_code, "not imported by a file's word" in result.output) == (2, True)
    assert "raises" not in sys.modules


@pytest.mark.law("T1")
def test_search_that_finds_nothing_passes(project):
    result = run("search", "--examples", "2", "--seed", "1", "--only", "check_seed")
    assert result.exit_code == 0, result.output
    assert last_line(result) == "2 modules, 2 passed"
    assert not (project / "flaxlayer-failure.json").exists()


@pytest.mark.slow
@nnx_is_there
@pytest.mark.law("T1")
def test_search_generates_nnx_modules_and_replays_them(project):
    only = ["--framework", "nnx", *QUICK]
    result = run("search", *only, "--examples", "3", "--json", "r.json")
    assert result.exit_code == 0, result.output
    assert "GeneratedNnx" in (project / "r.json").read_text()
    result = run("search", *only, "--examples", "20", "--layer", WRONG, "--save", "f.json")
    assert result.exit_code == 1
    assert Failure.load(project / "f.json").case.framework == "nnx"
    assert run("replay", "f.json", "--layer", WRONG).exit_code == 1
    assert run("replay", "f.json", "--layer", "flaxlayer:FlaxLayer").exit_code == 0


@nnx_is_there
@pytest.mark.law("T2")
def test_a_class_of_nnx_is_checked():
    words = ["check", "flax.nnx:Linear", "--set", "in_features=3", "--set", "out_features=2"]
    result = run(*words, *INPUT, *QUICK)
    assert result.exit_code == 0, result.output
    assert last_line(result) == "1 module, 1 passed"


@nnx_is_there
@pytest.mark.law("T5")
def test_faults_of_nnx_modules_are_sought_in_nnx_modules():
    fault = replace(FAULTS[0], framework="nnx")
    assert count_examples(fault, seed=1).ok
    assert find_fault(fault, 1)[0].framework == "nnx"


@pytest.mark.law("T7")
def test_zoo_runs_the_entries_of_a_provider(project):
    result = run("zoo", "--from", "my_net:entries", *QUICK, "--json", "zoo.json")
    assert result.exit_code == 0, result.output
    assert last_line(result) == "2 modules, 2 passed"
    reports = json.loads((project / "zoo.json").read_text())["reports"]
    assert [(part["subject"], part["features"]) for part in reports] == [
        ("entry0", ["linen.Dense"]),
        ("entry1", ["linen.Dense"]),
    ]


@pytest.mark.law("T7")
def test_zoo_runs_the_programs_of_its_entries(project):
    result = run("zoo", "--from", "my_net:probed", *QUICK, "--only", "probe", "--json", "zoo.json")
    assert result.exit_code == 1
    reports = json.loads((project / "zoo.json").read_text())["reports"]
    found = {part["subject"]: part["entries"][1:] for part in reports}
    assert [found["entry0"], found["entry1"]] == [[], []]
    ((whole,), (halved,)) = found["whole"], found["halved"]
    assert (whole["check"], whole["laws"], whole["status"]) == ("probe", ["W1"], "passed")
    assert (halved["laws"], halved["message"]) == (["T7"], "a law is broken\nLaw: T7")
    replay = "zoo --from my_net:probed --entry halved --only probe"
    assert halved["replay"] == f"flaxlayer-conformance {replay}"
    again = run(*replay.split())
    assert (again.exit_code, last_line(again)) == (1, f"Replay: flaxlayer-conformance {replay}")


@pytest.mark.law("T7")
def test_a_program_runs_unless_it_is_left_out_or_another_layer_runs(project):
    for words in (["--exclude", "probe"], ["--layer", "flaxlayer:FlaxLayer"]):
        result = run("zoo", "--from", "my_net:probed", *words, "--only", "check_build_paths")
        assert result.exit_code == 0, result.output
    result = run("zoo", "--from", "my_net:probed", "--entry", "halved", "--exclude", "check_*")
    assert (result.exit_code, last_line(result)[:7]) == (1, "Replay:")


@pytest.mark.law("T8")
def test_a_failure_in_the_zoo_is_replayed_by_entry():
    words = ["--from", "my_net:entries", "--layer", WRONG, "--entry", "entry1"]
    result = run("zoo", *words, *QUICK)
    assert result.exit_code == 1
    expected = f"zoo --from my_net:entries --layer {WRONG} --entry entry1 --only check_inference"
    assert last_line(result) == f"Replay: flaxlayer-conformance {expected}"


@pytest.mark.law("T5")
def test_faults_counts_the_examples_that_each_needs():
    result = run("faults", "--from", "my_net:NEGATES", "--json", "faults.json")
    assert result.exit_code == 0, result.output
    assert last_line(result) == "1 of 1 faults found"
    page = run("report", "faults.json", "--html", "page.html")
    assert page.exit_code == 0
    with open("page.html", encoding="utf-8") as file:
        assert "Examples needed per fault" in file.read()


@pytest.mark.law("T5")
def test_the_median_over_seeds_counts(project):
    result = run("faults", "--from", "my_net:NEGATES", "--seeds", "3", "--json", "faults.json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads((project / "faults.json").read_text())["faults"]
    assert (len(found["counts"]), found["seed"]) == (3, 2)
    assert found["needed"] == statistics.median(found["counts"])
    line = f"NegatesOutputs: {found['needed']:g} of 100, check_inference"
    assert result.stdout.splitlines()[0] == line


@pytest.mark.law("T8")
def test_a_record_says_what_it_was_made_with(project):
    assert run(*CHECK, *QUICK, "--seed", "4", "--json", "r.json").exit_code == 0
    data = json.loads((project / "r.json").read_text())
    (report,) = data["reports"]
    assert report["versions"] == data["versions"]
    assert {"python", "keras", "jax", "flax"} <= set(data["versions"])
    assert report["seed"] == 4
    assert data["tolerances"]["float32"]["rtol"] == TOLERANCES["float32"].rtol
    (entry,) = report["entries"]
    assert entry["errors"] == {"float32": 0.0}
    assert entry["seconds"] > 0
    assert Record.from_json(json.dumps(data)).seconds == entry["seconds"]


@pytest.mark.law("T2")
def test_checks_that_take_long_run_when_they_are_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "flaxlayer_testing.cli.choice.checks", lambda **given: asked.append(given) or ()
    )
    run(*CHECK, *QUICK)
    run(*CHECK, *QUICK, "--slow")
    assert [given["slow"] for given in asked] == [False, True]


@pytest.mark.law("T5")
def test_a_fault_that_is_not_found_fails_and_is_replayed_by_name(project):
    hidden = "HIDDEN = [replace(FAULTS[0], error='KeyError', budget=1)]"
    text = f"\nfrom dataclasses import replace\n{hidden}\n"
    (project / "my_net.py").write_text(NET + text)
    result = run("faults", "--from", "my_net:HIDDEN", "--seed", "5")
    assert result.exit_code == 1
    words = "faults --from my_net:HIDDEN --seed 5 --seeds 1 --entry NegatesOutputs"
    assert last_line(result) == f"Replay: flaxlayer-conformance {words}"


@pytest.mark.law("T8")
def test_report_joins_records_and_ends_as_they_did(project):
    assert run(*CHECK, *QUICK, "--json", "good.json").exit_code == 0
    assert run(*CHECK, *QUICK, "--layer", WRONG, "--json", "bad.json").exit_code == 1
    result = run("report", "good.json", "bad.json", "--html", "page.html")
    assert result.exit_code == 1
    assert "2 modules, 1 failed, 1 passed" in result.stdout
    assert last_line(result).startswith("Replay: flaxlayer-conformance check my_net:Net")
    assert "NegatesOutputs" in (project / "page.html").read_text()


def test_inputs_are_the_same_for_the_same_seed_and_of_their_type():
    texts = ["float32[2,3]", "int32[4]<7", "bool[2]", "bfloat16[]", "complex64[1]"]
    first, again = parse_inputs(texts, 3), parse_inputs(texts, 3)
    assert [array.tobytes() for array in first] == [array.tobytes() for array in again]
    found = [f"{array.dtype}{list(array.shape)}" for array in first]
    assert found == ["float32[2, 3]", "int32[4]", "bool[2]", "bfloat16[]", "complex64[1]"]
    assert first[1].max() < 7


def test_settings_are_json_with_hashable_arrays():
    assert parse_settings(['padding="SAME"', "size=[[1, 2]]", "use_bias=false"]) == {
        "padding": "SAME",
        "size": ((1, 2),),
        "use_bias": False,
    }
    with pytest.raises(LoadTargetError, match="not a name"):
        parse_settings(["=3"])


def test_an_object_may_be_an_attribute_of_another():
    assert load_object("flaxlayer:FlaxLayer.call").__name__ == "call"


def test_samples_are_the_zoo_where_the_usual_one_is_not_importable():
    assert load_entries(None, "nowhere:ENTRIES", ENTRIES) == ("", list(ENTRIES))


@pytest.mark.law("T1")
def test_a_saved_failure_is_read_as_it_was_written(tmp_path):
    failure = Failure(CASE, "check_inference", WRONG)
    failure.save(tmp_path / "deep" / "failure.json")
    assert Failure.load(tmp_path / "deep" / "failure.json") == failure
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ReadRecordError, match="holds no failure to replay"):
        Failure.load(tmp_path / "other.json")
