"""Records: JSON, JUnit's XML, and the page, which a browser opens (T8)."""

import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from flaxlayer_testing import Entry, FaultResult, ReadRecordError, Record, Report, Status
from flaxlayer_testing.report.junit import junit_xml
from flaxlayer_testing.report.matrix import by_check, by_feature
from flaxlayer_testing.report.page import render_page, write_page
from flaxlayer_testing.report.plots import plot_errors, plot_faults

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
VERSIONS = {"python": "3.11.2", "keras": "3.15.1", "jax": "0.10.2", "flax": "0.12.8"}
PASSED = Entry("check_fit", ("K1",), Status.PASSED, errors={"float32": 2e-7}, seconds=1.5)
EXACT = Entry("check_inference", ("A5", "A6"), Status.PASSED, errors={"float32": 0.0})
FAILED = Entry(
    "check_inference",
    ("A5", "A6"),
    Status.FAILED,
    "a <b> differs & more",
    "ParityError",
    replay="flaxlayer-conformance replay f.json --only check_inference",
    program="print('x' < 'y')",
)
SKIPPED = Entry("check_state_training", ("C2",), Status.SKIPPED, "the module has no state")
KNOWN = Entry("check_sown", ("C7",), Status.EXPECTED, "sown values are lost", "KeyError")
GOOD = Report("Dense", "flaxlayer:FlaxLayer", (EXACT, PASSED, SKIPPED), VERSIONS, 3, ("dense",))
OTHER = Report("Conv", "flaxlayer:FlaxLayer", (EXACT,), VERSIONS, 0, ("conv", "dense"))
BAD = Report("Dense", "keras:Other", (FAILED, KNOWN), {**VERSIONS, "keras": "3.6"}, 0, ("dense",))
FAULTS = (
    FaultResult("ForgetsBias", "check_inference", 20, 4, seconds=2.5),
    FaultResult("HidesWell", "check_fit", 40, None, "No generated module shows it."),
)
RECORD = Record((GOOD, OTHER, BAD), FAULTS, created="2026-01-02 03:04:05 UTC")


@pytest.mark.law("T8")
def test_a_record_is_read_as_it_was_written():
    assert Record.from_json(RECORD.to_json()) == RECORD
    assert Record.from_json(GOOD.to_json()).reports == (GOOD,)


@pytest.mark.law("T8")
def test_a_record_says_what_the_run_depended_on():
    text = RECORD.to_json()
    for part in ('"keras": "3.6"', '"seed": 3', '"atol": 7.6', '"float32": 2e-07', "1.5"):
        assert part in text


@pytest.mark.law("T8")
@pytest.mark.parametrize("text", ["", "{}", "[]", '{"reports": [1]}', '{"entries": 1}'])
def test_what_is_no_record_is_explained(text):
    with pytest.raises(ReadRecordError, match=r"not the JSON of a record[\s\S]*--json"):
        Record.from_json(text)


@pytest.mark.law("T8")
def test_joined_records_hold_all_reports():
    joined = Record.join([Record((GOOD,), created="1"), Record((BAD,), FAULTS, created="2")])
    assert (joined.reports, joined.faults, joined.created) == ((GOOD, BAD), FAULTS, "2")
    assert Record((GOOD,)).ok
    assert not joined.ok


@pytest.mark.law("T8")
def test_the_table_counts_modules_by_layer_and_version():
    table = by_check(RECORD.reports)
    assert [column.layer for column in table.columns] == ["flaxlayer:FlaxLayer", "keras:Other"]
    rows = {name: [(cell.text, cell.state) for cell in cells] for name, _, cells in table.rows}
    assert rows["check_inference"] == [("2", "passed"), ("0 of 1", "failed")]
    assert rows["check_state_training"] == [("skipped", "skipped"), ("-", "none")]
    assert rows["check_sown"] == [("-", "none"), ("0 of 1", "known")]


@pytest.mark.law("T8")
def test_a_feature_is_judged_by_the_worst_check_of_its_modules():
    rows = {
        name: [cell.text for cell in cells] for name, _, cells in by_feature(RECORD.reports).rows
    }
    assert rows == {"conv": ["1", "-"], "dense": ["2", "0 of 1"]}


@pytest.mark.law("T8")
def test_errors_stand_on_a_logarithmic_axis_with_zero_beside_it():
    tolerances = {"float32": {"rtol": 0.0, "atol": 1e-8}}
    plot = plot_errors([GOOD], tolerances)
    exact, above = sorted(plot.dots, key=lambda dot: dot.x)
    assert exact.x == plot.zero
    ticks = {power: x for x, power in plot.ticks}
    assert ticks[-8] < above.x < ticks[-6]
    assert (exact.beyond, above.beyond) == (False, True)
    assert plot.rows[0][2] == ticks[-8]


@pytest.mark.law("T8")
def test_a_bar_is_as_long_as_the_examples_that_a_fault_needed():
    found, hidden = plot_faults(FAULTS).rows
    assert found.needed * 5 == pytest.approx(found.budget)
    assert hidden.budget == pytest.approx(2 * found.budget)
    assert hidden.needed == 0


@pytest.mark.law("T8")
def test_a_line_goes_from_the_fewest_to_the_most_examples_of_a_seed():
    seeds = FaultResult("ForgetsBias", "check_inference", 20, 4, counts=(8, 2, 4))
    [bar] = plot_faults([seeds]).rows
    assert bar.ends == pytest.approx((bar.needed / 2, bar.needed * 2))
    page = render_page(Record(faults=(seeds,)))
    assert "check_inference: 2, 4, 8 over 3 seeds" in page
    assert page.count('<line class="whisker"') == 1
    assert '<line class="whisker"' not in render_page(RECORD)


@pytest.mark.law("T8")
def test_the_page_shows_known_failures_by_reason_with_their_modules():
    page = render_page(RECORD)
    table = page[page.index('id="known"') : page.index('id="checks"')]
    for part in ("keras:Other", "sown values are lost", "check_sown", "Dense"):
        assert part in table
    assert 'id="known"' not in render_page(Record((GOOD,)))


@pytest.mark.law("T8")
def test_the_page_shows_failures_with_programs_and_escapes_them():
    page = render_page(RECORD)
    for part in (
        "a &lt;b&gt; differs &amp; more",
        "print(&#39;x&#39; &lt; &#39;y&#39;)",
        FAILED.replay,
        "keras 3.6, jax 0.10.2, flax 0.12.8",
        "HidesWell",
        "not found",
        "There are failures",
    ):
        assert part in page


@pytest.mark.law("T8")
def test_the_page_needs_no_network_and_no_script():
    page = render_page(RECORD)
    assert not re.search(r"<script|<link|<img|https?:|@import|url\(", page)


@pytest.mark.law("T8")
def test_an_empty_record_is_a_page_too():
    page = render_page(Record())
    assert "Everything passed" in page
    assert "<svg" not in page


@pytest.mark.law("T8")
def test_junit_has_a_case_for_each_check_and_fault():
    root = ElementTree.fromstring(junit_xml(RECORD))
    suites = [(s.get("name"), s.get("tests"), s.get("failures")) for s in root]
    assert suites == [("Dense", "3", "0"), ("Conv", "1", "0"), ("Dense", "2", "1"),
                      ("faults", "2", "1")]  # fmt: skip
    text = root.find(".//testcase/failure").text
    assert text.splitlines()[-1] == f"Replay: {FAILED.replay}"
    assert root.find(".//property[@name='seed']").get("value") == "3"
    assert root.find(".//testcase[@name='check_fit']").get("time") == "1.500"
    assert root.find(".//testcase[@name='ForgetsBias']").get("time") == "2.500"


def test_junit_leaves_out_what_xml_cannot_hold():
    broken = Entry("check_fit", ("K1",), Status.FAILED, "a\x1b[31mb\x00", "ValueError")
    root = ElementTree.fromstring(junit_xml(Record((Report("M", "L", (broken,), {}),))))
    assert "a[31mb" in root.find(".//failure").text


@pytest.mark.law("T8")
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_shows_the_page(tmp_path):
    write_page(RECORD, tmp_path / "report.html")
    options = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"]
    options += ["disable-background-networking", "disable-component-update", "disable-sync"]
    options += [f"user-data-dir={tmp_path / 'profile'}", "dump-dom"]
    command = [CHROMIUM, *(f"--{option}" for option in options)]
    url = (tmp_path / "report.html").as_uri()
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    root = ElementTree.fromstring(re.search(r"<svg[\s\S]*?</svg>", done.stdout)[0])
    assert len(list(root.iter("circle"))) == 2
    assert done.stdout.count('<details class="failure" open') == 2
    assert "check_inference" in done.stdout
