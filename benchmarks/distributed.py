"""Training in several processes against one: losses, bytes, a lost worker, world sizes, hosts.

    python benchmarks/distributed.py [--steps 200] [--width 64]

Every row is a real ``glassmind train``, started by torchrun with gloo, on the same text and recipe.
"loss" is the last logged loss, "off by" the largest relative difference of any logged loss from the
run with one process. "sent" is the amount of data that one process passes to its collectives per
step, according to the formulas of ``glassmind.plan`` in float32 and including Muon. For runs that
were disturbed, "bits" says whether the finished weights are bit-identical to those of the
undisturbed run. The hosts are two network namespaces joined by a veth pair, which needs root and
iproute2; if these are missing, the row says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glassmind.model.counting import parameters
from glassmind.plan.estimate import all_gather_bytes, all_reduce_bytes
from glassmind.runs.models import load
from glassmind.runs.recipe import read_recipe

RECIPE = """
objective = "pretrain"
[pretrain]
file = "{text}"
[tokenizer]
kind = "char"
[model]
d_model = {width}
n_layers = 4
max_tokens = 64
[model.attention]
n_heads = 4
[train]
steps = {steps}
batch_rows = 16
row_tokens = 64
log_every = 5
checkpoint_minutes = 0.02
precision = "float32"
compile = "off"
"""
HOSTS = ("glassmind-a", "glassmind-b")
ADDRESSES = ("10.231.77.1", "10.231.77.2")


@dataclass
class Row:
    """One run, and how it compares with one process."""

    name: str
    loss: float
    off: float
    sent: float
    seconds: float
    bits: str = ""


def command(processes: int, *options: str) -> list[str]:
    """The start of a command: torchrun, or plain Python for one process without options."""
    if processes == 1 and not options:
        return [sys.executable, "-m", "glassmind"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *options]
    torchrun += ["--nproc-per-node", str(processes), "--monitor-interval", "0.2"]
    return [*torchrun, "-m", "--", "glassmind"]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}


def train(
    recipe: Path, run: Path, processes: int, *settings: str, resume: bool = False,
    options: Sequence[str] = (), kill: bool = False,
) -> float:  # fmt: skip
    """Run to the end; seconds. ``kill`` sends SIGKILL to the last process after a checkpoint."""
    line = [*command(processes, *options), "train", str(recipe), "--run", str(run)]
    line += ["--resume"] if resume else []
    line += [part for setting in settings for part in ("--set", setting)]
    started = time.monotonic()
    job = subprocess.Popen(
        line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if kill:
        while not list((run / "checkpoints").glob("*/step-*")) and job.poll() is None:
            time.sleep(0.01)
        children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text("utf-8").split()
        os.kill(int(children[-1]), signal.SIGKILL)
    said = job.communicate()[0]
    if job.returncode and not kill:
        sys.exit(f"{' '.join(line)} failed:\n{said[-3000:]}")
    return time.monotonic() - started


def losses(run: Path) -> list[float]:
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    return [row["loss"] for row in map(json.loads, lines) if "loss" in row]


def weights(run: Path) -> bytes:
    return (run / "models" / "pretrain" / "model.safetensors").read_bytes()


def compare(name: str, run: Path, one: Path, sent: float, seconds: float, bits: str = "") -> Row:
    mine, single = losses(run), losses(one)
    assert len(mine) == len(single), f"{run} has {len(mine)} rows of metrics, not {len(single)}"
    off = max(abs(a / b - 1) for a, b in zip(mine, single, strict=True))
    return Row(name, mine[-1], off, sent, seconds, bits)


def sent_bytes(run: Path, parallel: str, size: int) -> float:
    """In float32, one micro-batch: gradients all-reduced, or weights gathered twice and scattered.

    Parameters outside the blocks are gathered once, and Muon's matrices once more.
    """
    model = load(run).model
    total = parameters(model.config).total
    blocks = sum(p.numel() for n, p in model.named_parameters() if n.startswith("blocks."))
    matrices = sum(
        p.numel() for n, p in model.named_parameters() if n.startswith("blocks.") and p.dim() > 1
    )
    muon = all_gather_bytes(4 * matrices, size)  # the updates
    if parallel == "ddp":
        return all_reduce_bytes(4 * total, size) + muon
    gathered = all_gather_bytes(4 * (total + blocks), size)
    return gathered + all_gather_bytes(4 * total, size) + 2 * muon


def on_two_hosts(recipe: Path, run: Path) -> tuple[float, str]:
    """One process on each of two hosts, as namespaces; returns the seconds, and why it failed."""
    if shutil.which("ip") is None:
        return 0.0, "iproute2 (ip) is not installed"

    def ip(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)

    try:
        steps = [("netns", "add", host) for host in HOSTS]
        steps.append(("link", "add", "gm-a", "netns", HOSTS[0], "type", "veth",
                      "peer", "name", "gm-b", "netns", HOSTS[1]))  # fmt: skip
        for host, link, address in zip(HOSTS, ("gm-a", "gm-b"), ADDRESSES, strict=True):
            steps.append(("-n", host, "addr", "add", f"{address}/24", "dev", link))
            steps += [("-n", host, "link", "set", each, "up") for each in (link, "lo")]
        for step in steps:
            if (done := ip(*step)).returncode:
                return 0.0, f"ip {' '.join(step[:2])}: {done.stderr.strip()}"
        started, jobs = time.monotonic(), []
        for rank, (host, link) in enumerate(zip(HOSTS, ("gm-a", "gm-b"), strict=True)):
            where = ("--nnodes", "2", "--node-rank", str(rank), "--master-port", "29512")
            line = [sys.executable, "-m", "torch.distributed.run", *where]
            line += ["--master-addr", ADDRESSES[0], "--nproc-per-node", "1", "-m", "--"]
            line += ["glassmind", "train", str(recipe), "--run", str(run)]
            jobs.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", host, *line],
                    env=environment() | {"GLOO_SOCKET_IFNAME": link},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        said = [job.communicate()[0] for job in jobs]
        if any(job.returncode for job in jobs):
            return 0.0, "torchrun failed: " + said[0].strip().splitlines()[-1]
        return time.monotonic() - started, ""
    finally:
        for host in HOSTS:
            ip("netns", "del", host)


def measure(folder: Path, args: argparse.Namespace) -> tuple[list[Row], str]:
    text = folder / "text.txt"
    default = Path(os.environ.get("GLASSMIND_DATA", ".")) / "text" / "tinyshakespeare.txt"
    text.write_text((args.data or default).read_text("utf-8")[:200_000], "utf-8")
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(text=text, width=args.width, steps=args.steps), "utf-8")
    read_recipe(str(recipe))
    one = folder / "one"
    rows = [compare("1 process", one, one, 0.0, train(recipe, one, 1))]
    for parallel in ("ddp", "fsdp"):
        chosen = f"train.parallel={parallel}"
        for size in (2, 4):
            run = folder / f"{parallel}-{size}"
            seconds = train(recipe, run, size, chosen)
            sent = sent_bytes(run, parallel, size)
            rows.append(compare(f"{size} {parallel}", run, one, sent, seconds))
        run, straight = folder / f"{parallel}-killed", folder / f"{parallel}-2"
        again = ("--max-restarts", "1", "--master-port", "29513")
        seconds = train(recipe, run, 2, chosen, options=again, kill=True)
        same = "equal" if weights(run) == weights(straight) else "DIFFERENT"
        sent = sent_bytes(run, parallel, 2)
        rows.append(compare(f"2 {parallel}, one killed", run, one, sent, seconds, same))
    for before, after in ((2, 4), (4, 2), (2, 1)):
        run, chosen = folder / f"from-{before}-to-{after}", "train.parallel=fsdp"
        train(recipe, run, before, chosen, kill=True)  # and it is not restarted
        port = ("--master-port", "29514")
        seconds = train(recipe, run, after, chosen, resume=True, options=port)
        sent = sent_bytes(run, "fsdp", after)
        rows.append(compare(f"fsdp, {before} then {after}", run, one, sent, seconds))
    run = folder / "hosts"
    seconds, reason = on_two_hosts(recipe, run)
    if not reason:
        same = "equal" if weights(run) == weights(folder / "ddp-2") else "DIFFERENT"
        sent = sent_bytes(run, "ddp", 2)
        rows.append(compare("2 hosts, ddp", run, one, sent, seconds, same))
    return rows, reason


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--data", type=Path, help="a text; default $GLASSMIND_DATA/text/...")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, reason = measure(Path(folder), args)
    print(f"{'':22}{'loss':>10}{'off by':>10}{'sent a step':>14}{'seconds':>9}  bits")
    for row in rows:
        print(
            f"{row.name:22}{row.loss:>10.5f}{row.off:>10.1e}{row.sent / 1e3:>11,.0f} kB"
            f"{row.seconds:>9.1f}  {row.bits}"
        )
    if reason:
        print(f"2 hosts: not measured, {reason}")
    print(
        json.dumps(
            {
                "benchmark": "distributed",
                "steps": args.steps,
                "rows": {row.name: vars(row) for row in rows},
                "largest_difference": max(row.off for row in rows),
                "hosts": reason or "measured",
            }
        )
    )


if __name__ == "__main__":
    main()
