"""The private APIs of JAX and Flax that core needs, and nothing else private of theirs."""
