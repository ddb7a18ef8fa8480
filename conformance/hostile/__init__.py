"""Hostile files: honest stored things are changed by their structure, and loaded (S2, S3, S6).

A *route* is a way in which something stored becomes a model. A *case* is a route and a number, from
which the choice of an honest thing, its changes and the way of loading follow. Each case runs in a
guarded process and must end in a model or in a refusal that flaxlayer explains; `verdict.py` says
what that means exactly.

    python -m conformance.hostile --route config --seed 123      one case, with what it raised
    python -m conformance.hostile --cases 20000 --workers 2      many, and what they ended in
"""
