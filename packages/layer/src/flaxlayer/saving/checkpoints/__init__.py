"""Variables from the files that other programs write, a file here for each format (W2)."""
