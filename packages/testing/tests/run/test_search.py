"""A search: distinct modules, bugs told apart, kept failures, workers, time (T1)."""

import importlib

import pytest
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase

from flaxlayer import FlaxLayer
from flaxlayer_testing import LoadTargetError, ReadSpecError, Status, listening, search, spec_traits
from flaxlayer_testing.generate.strategies import cases_of
from flaxlayer_testing.report.events import ReportFinished, ShrinkTried
from flaxlayer_testing.report.statistics import Ending, statistics_text
from flaxlayer_testing.run import case_stream
from flaxlayer_testing.run.case_stream import draw_distinct, draw_smallest
from flaxlayer_testing.run.samples import NegatesOutputs
from flaxlayer_testing.spec.features import FEATURES

SEED = ["check_seed"]
INFERENCE = ["check_inference"]


class LosesState(FlaxLayer):
    """Raises where the module has state."""

    def __call__(self, *args, **kwargs):
        if self.built and self.state:
            self.lose_state()
        return super().__call__(*args, **kwargs)

    def lose_state(self):
        raise RuntimeError(f"no state in '{self.name}', which has {len(self.state)}")


class Flaws(LosesState):
    """Raises where the module has state, and gives no arrays where it has none."""

    def __call__(self, *args, **kwargs):
        outputs = super().__call__(*args, **kwargs)
        return "text" if self.built else outputs


def drawn(count, seed=1, **options):
    found = []

    def take(case):
        found.append(case)
        return len(found) == count

    return found, draw_distinct(cases_of("linen", **options), seed, take)


@pytest.mark.law("T1")
def test_no_case_is_handed_on_twice():
    found, draws = drawn(60)
    assert len(found) == len(set(found)) == draws.distinct == 60
    assert not draws.exhausted


@pytest.mark.law("T1")
def test_repeats_are_counted_and_what_hypothesis_begins_with_is_not_lost():
    found = []
    draws = draw_distinct(st.integers(0, 5).map(lambda number: number // 2), 0, found.append)
    assert sorted(found) == [0, 1, 2]
    assert (draws.distinct, draws.repeats, draws.exhausted) == (3, 3, True)


@pytest.mark.law("T1")
def test_a_short_search_draws_the_first_cases_of_a_long_one():
    assert drawn(10)[0] == drawn(25)[0][:10]
    assert drawn(10, seed=2)[0] != drawn(10)[0]


@pytest.mark.law("T1")
def test_a_search_that_finds_no_new_case_says_so(monkeypatch):
    monkeypatch.setattr(case_stream, "MOST_REPEATS", 20)
    few, found = drawn(3)[0], []
    draws = draw_distinct(st.sampled_from(few), 0, lambda case: found.append(case))
    assert draws.exhausted
    assert sorted(map(few.index, found)) == [0, 1, 2]
    assert draws.distinct == 3


@pytest.mark.law("T1")
@pytest.mark.parametrize("framework", ["linen", "nnx"])
def test_features_are_asked_for_and_kept_out(framework):
    found = []

    def take(case):
        found.append(case)
        return len(found) == 8

    draw_distinct(
        cases_of(framework, features=["dropout"], without=["batch_norm", "flag_default"]), 0, take
    )
    for case in found:
        features = spec_traits(case.spec).features
        assert "dropout" in features
        assert not features & {"batch_norm", "flag_default"}


@pytest.mark.law("T1")
def test_a_feature_that_does_not_exist_is_refused():
    with pytest.raises(ReadSpecError, match="dropot"):
        search(features=["dropot"], only=SEED)


@pytest.mark.law("T1")
def test_features_that_exclude_each_other_end_at_once():
    result = search(examples=5, features=["flag_negated"], without=["flag"], only=SEED)
    assert result.statistics.ending is Ending.EXHAUSTED
    assert result.reports == ()


@pytest.mark.law("T1")
def test_a_search_checks_as_many_distinct_modules_as_asked():
    result = search(examples=6, only=SEED)
    assert result.failure is None
    assert result.statistics.distinct == len(result.reports) == 6
    assert result.statistics.ending is Ending.ASKED


@pytest.mark.law("T1")
def test_a_failure_ends_the_search_and_is_shrunk():
    result = search(examples=20, layer=NegatesOutputs, only=INFERENCE)
    (found,) = result.bugs
    (node,) = found.failure.case.spec.nodes
    assert node.op == "dense"
    assert (found.bug.check, found.bug.error) == ("check_inference", "ParityError")
    assert result.statistics.ending is Ending.FAILURE


@pytest.mark.law("T1")
def test_a_failure_of_few_modules_shrinks_to_a_small_one():
    result = search(examples=20, seed=3, layer=LosesState, only=INFERENCE)
    case = result.failure.case
    assert spec_traits(case.spec).state
    assert len(case.spec.nodes) == 1
    assert result.statistics.tries > 0


@pytest.mark.slow
@pytest.mark.law("T1")
def test_distinct_bugs_are_told_apart_and_each_has_its_smallest_case():
    result = search(examples=12, seed=3, layer=Flaws, only=INFERENCE, continue_after_failure=True)
    bugs = {found.bug.error: found for found in result.bugs}
    assert set(bugs) == {"RuntimeError", "ParityError"}, [found.bug for found in result.bugs]
    assert len({found.bug for found in result.bugs}) == len(result.bugs)
    assert [found.bug.error for found in result.bugs].count("RuntimeError") == 1
    assert bugs["RuntimeError"].bug.shape.startswith("no state in …, which has #")
    assert bugs["RuntimeError"].bug.place.endswith(" in lose_state")
    assert all(found.count >= 1 for found in result.bugs)
    assert sum(found.count for found in result.bugs) == len(result.failed)
    state, values = (bugs[name].failure.case for name in ("RuntimeError", "ParityError"))
    assert spec_traits(state.spec).state
    assert len(values.spec.nodes) == 1


@pytest.mark.law("T1")
def test_a_kept_failure_is_tried_first_and_forgotten_once_it_passes():
    database = InMemoryExampleDatabase()
    options = {"only": INFERENCE, "database": database}
    first = search(examples=20, layer=NegatesOutputs, **options)
    tries = []
    with listening(lambda event: tries.append(event) if isinstance(event, ReportFinished) else 0):
        again = search(examples=20, seed=9, layer=NegatesOutputs, **options)
    assert again.statistics.kept == len(tries) == 1
    assert again.failure == first.failure
    other = search(examples=1, only=INFERENCE, database=database)
    assert other.statistics.kept == 0  # of another layer
    assert len([key for key in database.data if database.data[key]]) == 1

    class Healed(FlaxLayer):
        """The same layer, mended."""

    Healed.__module__, Healed.__qualname__ = NegatesOutputs.__module__, "NegatesOutputs"
    Healed.__name__ = "NegatesOutputs"
    import flaxlayer_testing.run.samples as room

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "NegatesOutputs", Healed)
        healed = search(examples=1, layer=Healed, **options)
        assert (healed.statistics.kept, healed.failure) == (1, None)
        assert search(examples=1, layer=Healed, **options).statistics.kept == 0


@pytest.mark.law("T1")
def test_a_value_that_is_no_case_is_forgotten():
    database = InMemoryExampleDatabase()
    search(examples=20, layer=NegatesOutputs, only=INFERENCE, database=database)
    (key,) = (key for key in database.data if database.data[key])
    (value,) = database.data[key]
    database.delete(key, value)
    database.save(key, b"\xff nothing")
    result = search(examples=1, layer=NegatesOutputs, only=INFERENCE, database=database)
    assert result.statistics.kept == 0
    assert b"\xff nothing" not in database.data[key]


@pytest.mark.law("T1")
def test_no_module_is_begun_when_the_time_is_over():
    result = search(examples=5, only=SEED, max_time=0)
    assert result.statistics.ending is Ending.TIME
    assert result.reports == ()


@pytest.mark.law("T1")
def test_shrinking_ends_when_the_case_is_not_found_again():
    (case, *_), _ = drawn(3)
    found = draw_smallest(
        cases_of("linen", features=["conv"]), case, lambda case: True, number=0, most=5
    )
    assert found == (case, None)


@pytest.mark.law("T1")
def test_listeners_hear_of_each_try_and_of_no_check_in_it():
    events = []
    with listening(events.append):
        result = search(examples=20, seed=3, layer=LosesState, only=INFERENCE)
    tries = [event.tries for event in events if isinstance(event, ShrinkTried)]
    assert tries == list(range(1, result.statistics.tries + 1))
    assert len([event for event in events if isinstance(event, ReportFinished)]) == len(
        result.failed + result.reports
    )


@pytest.mark.slow
@pytest.mark.law("T1")
def test_several_processes_check_the_same_modules_and_find_the_same():
    def told(result):
        entries = [
            (
                report.seed,
                report.features,
                [(entry.check, entry.status) for entry in report.entries],
            )
            for report in result.reports
        ]
        return entries, result.bugs, result.statistics.ending

    for layer in (FlaxLayer, NegatesOutputs):
        options = {"examples": 7, "seed": 4, "layer": layer, "only": ["check_streams", *INFERENCE]}
        events = []
        with listening(events.append):
            several = search(workers=2, **options)
        assert told(several) == told(search(**options))
        done = [event.report for event in events if isinstance(event, ReportFinished)]
        assert done == [*several.reports, *several.failed]


DIES = """
import multiprocessing, os
from flaxlayer import FlaxLayer

class Dies(FlaxLayer):
    def __call__(self, *args, **kwargs):
        outputs = super().__call__(*args, **kwargs)
        if self.state and multiprocessing.parent_process():
            os._exit(9)
        return outputs
"""


@pytest.mark.slow
@pytest.mark.law("T1")
def test_a_process_that_dies_is_a_failure_of_the_module_and_the_check(tmp_path, monkeypatch):
    (tmp_path / "dying.py").write_text(DIES)
    monkeypatch.syspath_prepend(tmp_path)
    layer = importlib.import_module("dying").Dies
    options = {"examples": 6, "seed": 3, "layer": layer, "only": ["check_config", *INFERENCE]}
    result = search(workers=2, continue_after_failure=True, **options)
    (found,) = result.bugs
    assert (found.bug.error, found.bug.check) == ("LostProcess", "check_inference")
    assert spec_traits(found.failure.case.spec).state
    assert found.count == len(result.failed)
    assert result.statistics.distinct == 6
    (entry,) = result.failed[0].entries
    assert entry.message.startswith("The process that ran it ended without a word.")
    assert entry.replay


@pytest.mark.law("T1")
def test_a_layer_that_no_other_process_can_import_is_refused():
    class Local(FlaxLayer):
        pass

    with pytest.raises(LoadTargetError, match="cannot be sent to other processes"):
        search(workers=2, layer=Local, only=SEED)


@pytest.mark.law("T1")
def test_statistics_say_what_was_drawn_run_and_skipped():
    result = search(examples=4, only=["check_seed", "check_fresh_keys"])
    text = statistics_text(result.statistics, result.reports, FEATURES)
    lines = text.splitlines()
    skipped = [entry.message for report in result.reports for entry in report.of(Status.SKIPPED)]
    (row,) = (line for line in lines if line.startswith("check_fresh_keys"))
    assert row.split()[1:4] == [str(4 - len(skipped)), "0", str(len(skipped))]
    assert row.endswith(skipped[0])
    drawn = result.reports[0].features[0]
    (row,) = (line for line in lines if line.startswith(f"{drawn} "))
    count = sum(drawn in report.features for report in result.reports)
    assert row.split()[1:] == [str(count), f"{count / 4:.1%}"]
    shown = {name for report in result.reports for name in report.features}
    first = next(name for name in FEATURES if name not in shown)
    assert any(line.startswith("Never drawn: ") and first in line for line in lines)
