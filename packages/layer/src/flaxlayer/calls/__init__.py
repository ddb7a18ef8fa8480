"""Calls: from the arguments of a Keras layer to a run of the module, and back."""
