"""Side-by-side timings; `python -m benchmarks` runs all of them and prints ratios."""
