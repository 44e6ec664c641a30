"""The ladder's table from several seeds: does every ordering hold in all of them?

    python benchmarks/ladder_seeds.py --seeds 0 1 2 [--recipe demo] [--folder runs/seeds]

Runs (or resumes, or reads) one ladder a seed and prints, for the test slice, each method's accuracy
per seed, the mean with its 95% t-interval over seeds, and every paired comparison with its p-value
in each seed. Then one JSON line.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from glassmind.cli.live import LiveProgress
from glassmind.pipeline.ladder import finished_ladder, run_ladder
from glassmind.reason import registry
from glassmind.runs.recipe import read_recipe
from glassmind.statistics import mean_and_interval

MUST_HOLD = (
    ("chain-of-thought", "direct", 1e-3),
    ("self-consistency", "single-sample", 1e-3),
    ("self-consistency", "chain-of-thought", 0.05),
    ("verifier-vote", "self-consistency", 0.01),
    ("verifier-vote", "log-probability-vote", 0.01),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=Path("runs/seeds"))
    args = parser.parse_args()
    recipe = read_recipe(args.recipe)
    ladders, minutes = [], []
    for seed in args.seeds:
        run = run_ladder(
            replace(recipe, seed=seed),
            args.folder / f"{recipe.name}-{seed}",
            resume=True,
            progress=LiveProgress(),
        )
        ladders.append(finished_ladder(run))
        minutes.append(sum(run.info().seconds.values()) / 60)
    tests = [{r.rung: r for r in ladder.rows if r.slice == "test"} for ladder in ladders]
    header = "".join(f"{f'seed {seed}':>10}" for seed in args.seeds)
    print(f"{'method (test slice)':24}{header}{'mean':>9}   95% interval over seeds")
    accuracy = {}
    for rung in (method.name for method in registry.methods()):
        values = [100 * test[rung].accuracy for test in tests]
        accuracy[rung] = values
        spread = ""
        if len(values) > 1:
            mean, low, high = mean_and_interval(values)
            spread = f"{mean:>9.1f}   {low:.1f} to {high:.1f}"
        print(f"{rung:24}" + "".join(f"{v:>10.1f}" for v in values) + spread)
    print(f"\n{'comparison':44}{header}   needed")
    holds = {}
    for rung, other, needed in MUST_HOLD:
        found = []
        for test in tests:
            row = next(c for c in test[rung].comparisons if c.against == other)
            better = (row.gained or 0) > (row.lost or 0)
            found.append(row.p_value if better else 1.0)
        holds[f"{rung} over {other}"] = found
        cells = "".join(f"{p:>10.1e}" for p in found)
        verdict = "holds" if all(p < needed for p in found) else "does not hold"
        print(f"{f'{rung} over {other}':44}{cells}   p < {needed:g}: {verdict}")
    result = {
        "benchmark": "ladder_seeds",
        "recipe": recipe.name,
        "seeds": args.seeds,
        "n": tests[0]["direct"].n,
        "commit": ladders[0].commit,
        "accuracy": {k: [round(v, 2) for v in values] for k, values in accuracy.items()},
        "p_values": holds,
        "stage_minutes": [round(m, 2) for m in minutes],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
