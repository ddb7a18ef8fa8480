"""The private APIs of Keras, TensorFlow and JAX that the layer needs, each with its reason."""
