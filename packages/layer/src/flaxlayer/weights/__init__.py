"""The variables of a module as Keras variables."""
