"""Runs cases: see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conformance.hostile.campaign import Campaign, cases_of, honest_things
from conformance.hostile.routes import ROUTES


def main() -> int:
    """Runs what the command line asks for; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m conformance.hostile")
    parser.add_argument("--route", action="append", choices=ROUTES, help="repeatable; all if none")
    parser.add_argument("--seed", type=int, help="one case of a route")
    parser.add_argument("--cases", type=int, default=1_000, help="over all routes")
    parser.add_argument("--first", type=int, default=0, help="the first number of each route")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    options = parser.parse_args()
    chosen = {name: route for name, route in ROUTES.items() if name in (options.route or ROUTES)}
    with honest_things() as folder:
        campaign = Campaign(folder, told=lambda found: print(found, flush=True))
        if options.seed is not None:
            campaign.run((name, options.seed) for name in chosen)
        else:
            campaign.run(
                cases_of(chosen, options.cases, first=options.first), workers=options.workers
            )
    print(campaign.to_json())
    if options.json:
        options.json.write_text(campaign.to_json(), encoding="utf-8")
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(main())
