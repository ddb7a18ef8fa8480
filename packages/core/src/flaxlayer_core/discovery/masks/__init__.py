"""What a Keras mask is to a method (A4)."""
