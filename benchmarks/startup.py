"""How long a command takes to start, beside importing torch in the same run.

    python benchmarks/startup.py [--runs 5]

Whole processes, in turn: ``import torch``, an empty question (refused before torch is imported), a
question to the shipped model, and ``--help``. Times are medians after one round that warms the disk
cache; the processor's seconds stand beside them, since other work on the machine adds to elapsed
time only. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

QUESTION = "Mia has 3 boxes of 12 pencils. She gives 5 away. How many pencils are left?"
JOBS = {
    "import torch": ["-c", "import torch"],
    "glassmind --help": ["-m", "glassmind", "--help"],
    'glassmind ask ""': ["-m", "glassmind", "ask", ""],
    "glassmind ask QUESTION": ["-m", "glassmind", "ask", QUESTION],
}
REACH = {'glassmind ask ""': 0.2, "glassmind ask QUESTION": 1.5}


def processor_seconds() -> float:
    """What all finished child processes took of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(arguments: list[str]) -> tuple[float, float]:
    """Elapsed and processor seconds of a process."""
    before, started = processor_seconds(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    return time.perf_counter() - started, processor_seconds() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in JOBS}
    for _ in range(args.runs + 1):
        for name, arguments in JOBS.items():
            times[name].append(measure(arguments))
    medians = {
        name: [statistics.median(values) for values in zip(*found[1:], strict=True)]
        for name, found in times.items()
    }
    torch_elapsed, torch_processor = medians["import torch"]
    print(f"{'':24}{'elapsed s':>11}{'processor s':>13}{'of import torch':>17}{'reach':>8}")
    rows = {}
    for name, (elapsed, processor) in medians.items():
        ratio, of_processor = elapsed / torch_elapsed, processor / torch_processor
        reach = f"{REACH[name]}" if name in REACH else ""
        shown = f"{ratio:.2f} ({of_processor:.2f})"
        print(f"{name:24}{elapsed:11.3f}{processor:13.3f}{shown:>17}{reach:>8}")
        rows[name] = {
            "elapsed_s": round(elapsed, 4),
            "processor_s": round(processor, 4),
            "elapsed_ratio": round(ratio, 3),
            "processor_ratio": round(of_processor, 3),
        }
    print(json.dumps({"benchmark": "startup", "runs": args.runs, "rows": rows}))


if __name__ == "__main__":
    main()
