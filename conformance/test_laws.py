"""Every law that the packages claim has a test, and docs/laws.md says which."""

from conformance.laws import ELSEWHERE, LAWS, PAGE, enforcing_tests, law_texts, page

# Of trees, which no backend sees.
OF_CORE_ALONE = ["C1"]


def test_every_law_has_a_test():
    tests = enforcing_tests()
    assert [law for law in {**LAWS, **ELSEWHERE} if not tests.get(law)] == []


def test_every_law_says_something():
    texts = law_texts()
    assert list(texts) == [*LAWS, *ELSEWHERE]
    assert [law for law, text in texts.items() if len(text.split()) < 5] == []


def test_markers_name_laws_that_exist():
    harness = {f"T{number}" for number in range(1, 13)}
    assert sorted(set(enforcing_tests()) - set(LAWS) - set(ELSEWHERE) - harness) == []


def test_marks_of_a_module_count_for_each_of_its_tests():
    tests = {law: [test.name for test in found] for law, found in enforcing_tests().items()}
    assert (
        "packages/core/tests/discovery/test_given_variables.py::test_complete_variables_are_taken_as_they_are"
        in tests["B4"]
    )
    assert "conformance/backends/test_checks.py" in {t.partition("::")[0] for t in tests["K1"]}


def test_every_law_of_the_layer_has_a_test_on_tensorflow():
    tests = enforcing_tests()
    missing = [law for law in LAWS if not any(test.runs_on_tensorflow for test in tests[law])]
    assert missing == OF_CORE_ALONE


def test_the_page_of_laws_is_current():
    assert PAGE.read_text() == page()
