"""The private APIs of Keras, TensorFlow and JAX that the layer needs, and nothing else of theirs."""
