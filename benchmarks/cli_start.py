"""How long `glassmind --help` takes, and what it imports.

    python benchmarks/cli_start.py [--runs 20]

Times whole processes against a bare `python -c pass`, and checks in one more process that neither
torch nor numpy was imported. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

CHECK = """
import sys
from glassmind.cli.main import main
main(["--help"])
print(sorted({"torch", "numpy", "rich", "regex"} & sys.modules.keys()), file=sys.stderr)
"""


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()
    jobs = {
        "glassmind --help": [sys.executable, "-m", "glassmind", "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(args.runs + 1):  # the first warms the disk cache
        for name, command in jobs.items():
            times[name].append(seconds(command))
    for name, values in times.items():
        middle = statistics.median(values[1:])
        print(f"{name:18} median {middle:.3f} s, slowest {max(values[1:]):.3f} s")
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    heavy = done.stderr.strip()
    print(f"heavy imports: {heavy}")
    medians = {name: round(statistics.median(v[1:]), 4) for name, v in times.items()}
    print(json.dumps({"benchmark": "cli_start", "median_s": medians, "heavy_imports": heavy}))


if __name__ == "__main__":
    main()
