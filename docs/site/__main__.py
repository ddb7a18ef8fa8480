"""Builds the site: `./dev docs`."""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx

from docs.site.made_pages import made_pages
from docs.site.pages import ROOT, stage

__all__ = ["main"]

CACHE = ROOT / ".cache" / "docs"
SITE = ROOT / "build" / "site"
_RUN_WITH = ("flax", "jax", "keras", "numpy", "optax", "tensorflow-cpu", "transformers")


def main() -> int:
    """Makes the pages, runs their examples, and writes the site."""
    parser = argparse.ArgumentParser(prog="./dev docs", description=__doc__)
    parser.add_argument(
        "--keep-outputs",
        action="store_true",
        help="do not run examples again because the packages changed",
    )
    parser.add_argument("--no-run", action="store_true", help="leave out what examples print")
    parser.add_argument("--fresh", action="store_true", help="begin with nothing of an earlier run")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(CACHE, ignore_errors=True)
        shutil.rmtree(SITE, ignore_errors=True)
    source = CACHE / "source"
    stage(source, made_pages())
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # else TensorFlow says that they are on
    os.environ["SITE_OUTPUTS"] = str(_outputs(keep=options.keep_outputs))
    if options.no_run:
        os.environ["SITE_EXECUTION"] = "off"
    words = ["--fresh-env", "--fail-on-warning", "--keep-going", "--nitpicky", "-b", "html"]
    code = sphinx([*words, "-d", str(CACHE / "doctrees"), str(source), str(SITE)])
    print(f"\nThe site is {SITE / 'index.html'}" if code == 0 else "\nThe site was not built.")
    return code


def _outputs(*, keep: bool) -> Path:
    """Returns the folder of what examples printed; one for each state of the packages."""
    home = CACHE / "outputs"
    known = sorted(home.glob("*"), key=lambda path: path.stat().st_mtime)
    folder = known[-1] if keep and known else home / _state()
    for other in known:
        if other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _state() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "packages").glob("*/src/**/*.py")):
        digest.update(path.read_bytes())
    for name in _RUN_WITH:
        digest.update(f"{name} {importlib.metadata.version(name)}".encode())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
