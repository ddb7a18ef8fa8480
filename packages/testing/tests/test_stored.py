"""Files that anybody may have written are read, or refused in the harness's own words (S6)."""

import copy
import json
import random
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxlayer_testing import (
    Case,
    Entry,
    FaultResult,
    ModuleSpec,
    Node,
    ReadRecordError,
    ReadSpecError,
    Record,
    Report,
    Status,
    Subject,
    ValueType,
)
from flaxlayer_testing.report.junit import junit_xml
from flaxlayer_testing.report.page import render_page
from flaxlayer_testing.stored import MAX_BYTES, parse, read, text

ENTRY = Entry("check_fit", ("K1",), Status.PASSED, errors={"float32": 2e-7}, seconds=1.5)
FAILED = Entry("check_fit", ("K1",), Status.FAILED, "a [/b] is markup", "ParityError")
REPORT = Report("Dense", "flaxlayer:FlaxLayer", (ENTRY, FAILED), {"jax": "0.10"}, 3, ("dense",))
RECORD = Record((REPORT,), (FaultResult("ForgetsBias", "check_inference", 20, 4, "", (4,)),))
RELU = Node("activation", (0,), (("function", "relu"),))
INNER = Node("nested", (1,), (), ModuleSpec((ValueType((3,)),), (RELU,), (1,)))
CASE = Case(ModuleSpec((ValueType((3,)),), (RELU, INNER), (2,)))
NASTY = (
    None,
    True,
    -1,
    10**40,
    2**63,
    1e308,
    float("nan"),
    float("-inf"),
    "",
    "x" * 10_000,
    "\x00\x1b[31m\ud800\ufffe",
    "[/red]",
    [],
    {},
    [[[[]]]],
    {"a": {"b": 0}},
)


def places(data, path=()):
    yield path
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield from places(data[key], (*path, key))


def mutations(data, count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        changed = copy.deepcopy(data)
        *above, last = rng.choice([path for path in places(data) if path])
        inner = changed
        for key in above:
            inner = inner[key]
        if rng.random() < 0.2:
            del inner[last]
        else:
            inner[last] = copy.deepcopy(rng.choice(NASTY))
        yield changed


@pytest.mark.law("S6")
def test_a_changed_record_is_shown_or_refused():
    refused = shown = 0
    for data in mutations(json.loads(RECORD.to_json()), 300, seed=0):
        try:
            record = Record.from_json(json.dumps(data))
        except ReadRecordError as error:
            refused += 1
            assert len(str(error)) < 2_000
            continue
        shown += 1
        ElementTree.fromstring(junit_xml(record))
        render_page(record).encode("utf-8")
        "".join(map(str, record.reports)).encode("utf-8")
    assert refused > 50
    assert shown > 50


@pytest.mark.law("S6")
def test_a_changed_case_is_built_or_refused():
    refused = built = 0
    for data in mutations(json.loads(CASE.to_json()), 300, seed=0):
        try:
            Subject.from_case(Case.from_json(json.dumps(data)))
            built += 1
        except ReadSpecError as error:
            refused += 1
            assert len(str(error)) < 20_000
    assert refused > 50
    assert built > 10


@pytest.mark.law("S6")
@pytest.mark.parametrize("found", ["x" * 10**6, ["compact"] * 10**5], ids=["text", "list"])
def test_a_huge_value_of_a_spec_is_no_huge_message(found):
    data = json.loads(CASE.to_json())
    data["spec"]["style"] = found
    with pytest.raises(ReadSpecError) as caught:
        Subject.from_case(Case.from_json(json.dumps(data)))
    assert len(str(caught.value)) < 2_000


@pytest.mark.law("S6")
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "file.json"
    path.write_bytes(content)
    try:
        parse(read(path))
    except ValueError as error:
        assert len(str(error)) < 500


@pytest.mark.law("S6")
def test_no_more_is_read_than_the_bound(tmp_path):
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ValueError, match="more than 67,108,864 bytes"):
        read(path)


@pytest.mark.law("S6")
def test_a_message_cannot_steer_a_terminal_or_the_table():
    assert text("\x1b[31mred\x07\n") == "?[31mred?\n"
    skipped = Entry("check_fit", ("K1",), Status.SKIPPED, "[/x] has [red]no[/red] meaning")
    shown = str(Report("[/y]", "layer", (skipped,), {}))
    assert "[/x]" in shown
    assert "[/y]" in shown
