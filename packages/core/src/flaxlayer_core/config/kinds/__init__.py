"""The kinds of values that a configuration holds, each with its JSON form."""
