"""A trainer that is killed with kill -9 at random moments ends with bit-identical results.

    python benchmarks/crash_test.py [--kills 60]
    python benchmarks/crash_test.py --recipe grpo --kills 30 --steps 60

``glassmind train text``, or ``train grpo`` from the model in the package, runs once undisturbed,
and once more while it is killed repeatedly. Four of five kills come at a random moment after
training began (it writes a checkpoint after every step, so many interrupt a write), the others
while it starts, reads and tokenizes. Then the two run folders are compared. The checkpoints with
the optimizer state and the random generators are deleted at the end of a run, so the comparison
covers the finished model's file, the metrics row for row (except for times), the tokens and the
validation figures; of learning from reward, which is killed while it samples and while it learns,
also the groups and the watched problems. After every other kill the newest checkpoint is damaged,
alternately by cutting off a file and by flipping a bit, which the next process must detect.

Also measured: how long a step waits for a checkpoint that is written in the background, for a model
of about 30 million parameters with AdamW's state.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from glassmind.runs.checkpoint import Checkpoint, Writer

TEXT = "The cook counts {} eggs, {} pots and {} spoons, and writes the sum, {}, on the door.\n"
CLOCK = (
    "seconds", "tokens_per_second", "sampling_tokens_per_second", "learning_tokens_per_second",
)  # fmt: skip
ALWAYS = {"train.checkpoint_minutes": 0, "train.compile": "off"}
TRAINED_ON_TEXT = {
    "train.log_every": 3, "train.batch_rows": 4, "train.row_tokens": 64, "model.max_tokens": 64,
    "model.d_model": 64, "model.n_layers": 2, "model.attention.n_heads": 2,
    "tokenizer.kind": "char",
}  # fmt: skip
REWARDED = {
    "train.log_every": 1, "problems.train": 200, "problems.validation": 20, "options.questions": 4,
    "options.group": 4, "options.passes": 2, "options.watch": 4,
}  # fmt: skip


def command(recipe: str, folder: Path, text: Path, steps: int) -> list[str]:
    own = REWARDED if recipe == "grpo" else TRAINED_ON_TEXT | {"pretrain.file": text}
    settings = ALWAYS | {"train.steps": steps} | own
    changes = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    resume = ["--resume"] if (folder / "run.json").is_file() else []
    return [
        sys.executable, "-m", "glassmind", "train", recipe, "--run", str(folder), *resume, *changes,
    ]  # fmt: skip


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCK} for line in lines]


def digests(folder: Path) -> dict[str, str]:
    """The results that must be bit-identical."""
    names = ["tokenizer.json", "validation.json", "recipe.toml", "groups.jsonl", "watched.jsonl"]
    found = [folder / name for name in names if (folder / name).is_file()]
    found += sorted((folder / "tokens").glob("*.bin"))
    found += sorted((folder / "models").rglob("*.safetensors"))
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
    }


def newest(folder: Path) -> str:
    return max((p.name for p in folder.glob("checkpoints/*/step-*")), default="")


def damage(folder: Path, draw: random.Random) -> bool:
    """Cut off or flip a bit of a file of the newest checkpoint, if there is one to fall back to."""
    places = sorted(folder.glob("checkpoints/*/step-*"))
    if len(places) < 2:
        return False
    file = draw.choice(sorted(places[-1].iterdir()))
    data = bytearray(file.read_bytes())
    if draw.random() < 0.5:
        data = data[: draw.randrange(len(data))]
    else:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    file.write_bytes(data)
    return True


def blocking(parameters: int, saves: int) -> tuple[float, float]:
    """Longest wait of a step for the writer, and seconds a checkpoint takes to be written."""
    weights = {f"w{i}": torch.randn(parameters // 10) for i in range(10)}
    moments = {f"{n}|{k}": torch.randn_like(w) for n, w in weights.items() for k in ("m", "v")}
    waits, writes = [], []
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder))
        for step in range(saves):
            began = time.perf_counter()
            parts = {"model": weights, "optimizer": moments}
            writer.write(step, Checkpoint(parts, {"step": step}), keep=2)
            waits.append(time.perf_counter() - began)
            writer.wait()
            writes.append(time.perf_counter() - began)
    return max(waits), statistics.median(writes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--recipe", choices=("text", "grpo"), default="text")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch) / "text.txt"
        figures = [[draw.randrange(100) for _ in range(3)] for _ in range(4000)]
        text.write_text("".join(TEXT.format(*f, sum(f)) for f in figures), "utf-8")
        straight, crashed = Path(scratch) / "straight", Path(scratch) / "crashed"
        began = time.perf_counter()
        subprocess.run(
            command(args.recipe, straight, text, args.steps),
            env=environment,
            check=True,
            capture_output=True,
        )
        life = time.perf_counter() - began
        lines = (straight / "metrics.jsonl").read_text("utf-8").splitlines()
        work = max(json.loads(line).get("seconds", 0.0) for line in lines)
        kills = damages = while_training = 0
        while kills < args.kills:
            process = subprocess.Popen(
                command(args.recipe, crashed, text, args.steps),
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            early = kills % 5 == 4
            if early:
                time.sleep(draw.uniform(0, life - work))
            else:
                before = newest(crashed)
                while newest(crashed) == before and process.poll() is None:
                    time.sleep(0.002)
                # Small enough that something is left to do after the last kill.
                time.sleep(draw.uniform(0, work / args.kills))
            if process.poll() is not None:
                sys.exit("the run ended before it was killed often enough: give more --steps")
            process.kill()
            process.wait()
            kills += 1
            while_training += not early
            if kills % 2 == 0:
                damages += damage(crashed, draw)
        last = subprocess.run(
            command(args.recipe, crashed, text, args.steps),
            env=environment,
            check=True,
            capture_output=True,
        )
        assert last.returncode == 0
        same_bits = digests(crashed) == digests(straight)
        same_rows = rows(crashed) == rows(straight)
        left = [str(p) for p in crashed.rglob(".*") if p.name.startswith(".unfinished")]
    wait, write = blocking(30_000_000, 5)
    result = {
        "benchmark": "crash_test",
        "recipe": args.recipe,
        "kills": kills,
        "damaged_checkpoints": damages,
        "of_them_while_training": while_training,
        "same_bits": same_bits,
        "same_metrics_rows": same_rows,
        "files_left_behind": len(left),
        "step_waits_seconds": round(wait, 3),
        "checkpoint_written_in_seconds": round(write, 3),
    }
    for name, value in result.items():
        print(f"{name:32}{value}")
    print(json.dumps(result))
    if not (same_bits and same_rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
