"""Every feature is described once, where what shows it stands."""

from flaxlayer_testing import FEATURES
from flaxlayer_testing.spec.extras import EXTRA_KINDS
from flaxlayer_testing.spec.operations import PARTS
from flaxlayer_testing.spec.transforms import TRANSFORMS


def test_what_an_operation_shows_is_said_where_it_stands():
    told = {n: text for p in PARTS for topic in p.features.values() for n, text in topic.items()}
    assert told["conv_local"] == "ConvLocal"
    assert told.items() <= FEATURES.items()


def test_transforms_and_parameters_say_what_they_show():
    shown = {part.feature: part.about for part in TRANSFORMS.values()}
    shown |= {kind.feature: kind.about for kind in EXTRA_KINDS.values()}
    assert shown["remat"] == "nn.remat"
    assert shown["enum_argument"] == "a static enum as an argument"
    assert shown.items() <= FEATURES.items()


def test_features_of_the_graph_come_first_and_each_topic_is_in_order():
    names = list(FEATURES)
    assert names[:2] == ["dataclass_input", "dataclass_output"]
    places = [names.index(name) for name in ("flag", "array_argument", "activation", "batch_norm")]
    places += [names.index(name) for name in ("apply_mask", "add_metadata_axis", "always_noise")]
    assert places == sorted(places)
    layers = names[names.index("batch_norm") : names.index("apply_mask")]
    assert layers == sorted(layers)
