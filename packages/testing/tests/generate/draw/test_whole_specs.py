"""Whole specs are drawn of what a framework has."""

import pytest
from hypothesis import HealthCheck, find, given, settings

from flaxlayer_testing import ReadSpecError
from flaxlayer_testing.generate.draw.whole_specs import specs_of
from flaxlayer_testing.spec.frameworks import is_of
from flaxlayer_testing.spec.spec import FRAMEWORKS

QUIET = settings(max_examples=40, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_spec_is_of_its_framework(framework):
    @QUIET
    @given(specs_of(framework, 4, ["recurrent"], ()))
    def draw(spec):
        assert is_of(spec, framework)

    draw()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_simplest_spec_is_one_layer(framework):
    assert [node.op for node in find(specs_of(framework, 6, (), ()), lambda _: True).nodes] == [
        "dense"
    ]


@pytest.mark.parametrize(
    ("framework", "feature", "other"),
    [("linen", "supplied_rngs_argument", "nnx"), ("nnx", "conv_local", "linen")],
    ids=["linen", "nnx"],
)
def test_a_feature_that_a_framework_lacks_is_refused_and_another_framework_named(
    framework, feature, other
):
    with pytest.raises(ReadSpecError, match=f"No {framework} modules can be drawn") as caught:
        specs_of(framework, 6, [feature, "dense"], ())
    text = str(caught.value)
    assert f"Draw modules of {other}." in text
    assert "dense" not in text.partition("found")[2].partition("fix")[0]


def test_features_that_no_framework_has_together_are_refused():
    with pytest.raises(ReadSpecError, match="one by one"):
        specs_of("nnx", 6, ["conv_local", "supplied_rngs_argument"], ())


@pytest.mark.parametrize(
    ("nodes", "features", "without", "found"),
    [
        (0, (), (), "max_nodes=0"),
        (1, ["denes"], (), "denes"),
        (1, (), ["denes"], "denes"),
    ],
    ids=["nodes", "feature", "without"],
)
def test_what_is_not_known_is_refused(nodes, features, without, found):
    with pytest.raises(ReadSpecError, match=found):
        specs_of("linen", nodes, features, without)
