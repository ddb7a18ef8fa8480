"""What Keras's summary of a model reads of a layer."""

import keras

from flaxlayer.compat.keras_summaries import PartOfLayer, shown_as_unknown


class Known(keras.layers.Layer):
    """A layer that says what it is asked for."""

    def __init__(self, shapes):
        super().__init__(name="known")
        self.shapes = shapes

    def build(self, input_shape):
        self.built = True

    def call(self, x):
        return x

    def compute_output_shape(self, input_shape):
        if isinstance(self.shapes, Exception):
            raise self.shapes
        return self.shapes


class Holder(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, x):
        return x


def rows(layer):
    layer.build((2, 3))
    texts = []
    Holder(layer).summary(expand_nested=True, print_fn=texts.append)
    lines = [line for line in texts[0].splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_an_error_that_says_unknown_becomes_a_question_mark():
    layer = Known(shown_as_unknown(ValueError("no")))
    assert rows(layer) == [["known (Known)", "?", "0"]]


def test_parts_of_a_layer_have_rows():
    layer = Known((2, 3))
    outer, inner = PartOfLayer("outer"), PartOfLayer("inner")
    outer.weights.append(keras.Variable([1.0, 2.0]))
    outer.layers.append(inner)
    layer.layers = [outer]
    assert rows(layer) == [
        ["known (Known)", "(2, 3)", "0"],
        ["└ outer (PartOfLayer)", "?", "2"],
        ["└ inner (PartOfLayer)", "?", "0"],
    ]


def test_a_part_tells_whether_it_is_trained():
    part = PartOfLayer("part")
    assert not part.trainable
    part.weights.append(keras.Variable([1.0]))
    assert part.trainable
    part.weights[0].trainable = False
    assert not part.trainable
