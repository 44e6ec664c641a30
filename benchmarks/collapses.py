"""Does every recipe that collapses on purpose fail in its own way, and is it named?

    python benchmarks/collapses.py [--folder runs/collapses] [--recipes collapse-length ...]

Runs each recipe as a user would (``glassmind train``, then ``glassmind report``), from the model in
the package, and compares the diagnoses with what docs/COLLAPSES.md says. Prints a table in
Markdown, then one JSON line; exits with 1 if a collapse was not named.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

EXPECTED = {
    "collapse-learning-rate": {"learning rate too high"},
    "collapse-no-clip": {"ratios without bounds"},
    "collapse-stale-samples": {"stale samples"},
    "collapse-kl-gradient": {"KL without a gradient"},
    "collapse-top-p": {"top-p mismatch"},
    "collapse-length": {"reward hacking", "length hacking"},
}


def glassmind(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "glassmind", *words], check=True, capture_output=True, text=True
    )
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, default=Path("runs/collapses"))
    parser.add_argument("--recipes", nargs="+", choices=EXPECTED, default=list(EXPECTED))
    args = parser.parse_args()
    rows = []
    print("| recipe | seconds | diagnoses | named |\n|---|---|---|---|")
    for recipe in args.recipes:
        run = args.folder / recipe
        shutil.rmtree(run, ignore_errors=True)
        began = time.perf_counter()
        glassmind("train", recipe, "--run", str(run))
        seconds = round(time.perf_counter() - began, 1)
        stages = json.loads(glassmind("report", str(run), "--json"))["diagnosis"]
        found = [one["kind"] for diagnoses in stages.values() for one in diagnoses]
        named = EXPECTED[recipe] <= set(found)
        rows.append({"recipe": recipe, "seconds": seconds, "found": found, "named": named})
        print(f"| {recipe} | {seconds} | {', '.join(found)} | {'yes' if named else 'NO'} |")
    print(json.dumps({"benchmark": "collapses", "rows": rows}))
    if not all(row["named"] for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
