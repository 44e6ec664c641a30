"""Token efficiency: our small recipe against nanoGPT's, at equal wall clock and at equal tokens.

    python benchmarks/token_efficiency.py --peer PATH/TO/nanoGPT --out efficiency.json

Both train a model of the same depth, width, heads and context on the same books, with one BPE
vocabulary that is learned here, and are measured on the same windows of held-out books and of
WikiText-2. Ours is the ``text`` recipe at ``--depth``, with the steps that the dial says fit into
``--minutes``; the peer's is its ``config/train_shakespeare_char.py`` (optimizer, rates, schedule)
with the dropout and the rows of its CPU example (0.0; 12 or ``--peer-rows``), and as many
iterations as fit into the same minutes. For *equal tokens*, the side that read more gets a second
run, with a complete schedule over as many tokens as the other side read.

The peer's train.py is run unchanged, in a separate process; only the seed that it passes to torch
is shifted, since it has no option for that. Seconds are those of training steps, without compiling
(the first step counts as the median) and without evaluations, on both sides. Curves are each side's
own estimates while it trains; the final figures are of the finished weights, both in float32.

Bits per byte: total nats / ln 2 / UTF-8 bytes. Word-level perplexity: exp(total nats / words).
Words are separated by whitespace, and every line adds one end of line (``<eos>``). The total is
over every token of the file, including spaces and line ends. Each token is predicted once, in
windows of the context's length that overlap by one token.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import lzma
import math
import os
import pickle
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glassmind.data.batches.loader import RowLoader
from glassmind.data.pretraining.texts import find_texts
from glassmind.data.pretraining.token_shards import TokenRows, mapped_ids, write_shard
from glassmind.evaluate.charts.line_chart import Line, keys, line_chart
from glassmind.files import require_space
from glassmind.model import Transformer
from glassmind.pipeline.time_budget import MARGIN, within
from glassmind.progress import Silent
from glassmind.runs.dial import batch_tokens, dialled, scaling_parameters
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.statistics import mean_and_interval
from glassmind.tokenize import SPECIAL_IDS, SavedTokenizer, load, save, train_bpe
from glassmind.tokenize.special import END
from glassmind.train import Pretrain, Trainer

PEER_WARM_UP = 100
CURVE_TOKENS = 61_440  # of held-out text for one point of a curve
POINTS = 12
NAME = "glassmind_tokens"
EVALUATED_AT_ONCE = 16

LogitsOf = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Corpus:
    """The data that both sides read; ``texts`` are the held-out texts, by name."""

    tokenizer: SavedTokenizer
    train: np.ndarray
    valid: np.ndarray
    texts: dict[str, str]


@dataclass
class Result:
    """One run. A curve is of (seconds, tokens, nats a token)."""

    side: str
    seed: int
    tokens: int
    seconds: float
    curve: list[tuple[float, int, float]]
    measured: dict[str, float]


# ------------------------------------------------------------------------------- the text


def prepare(args: argparse.Namespace, folder: Path) -> Corpus:
    """The first megabytes of the books, tokenized for both sides."""
    data = args.data / "text"
    with lzma.open(data / "books_train.txt.xz") as file:
        book = file.read(int(args.megabytes * 1e6)).decode("utf-8", "ignore")
    (folder / "train.txt").write_text(book, "utf-8", newline="")
    with lzma.open(data / "books_valid.txt.xz") as file:
        valid = file.read().decode("utf-8")[: int(args.valid_megabytes * 1e6)]
    (folder / "val.txt").write_text(valid, "utf-8", newline="")
    save(train_bpe([book[:4_000_000]], args.vocab), folder / "tokenizer.json")
    tokenizer = load(folder / "tokenizer.json")
    target = args.peer / "data" / NAME
    target.mkdir(parents=True, exist_ok=True)
    ids = {}
    for part in ("train", "val"):
        pieces = find_texts(str(folder / f"{part}.txt"), separator="\x1e").pieces()
        path = target / f"{part}.bin"  # as the peer reads it: unsigned, 16 bits, one long stream
        shard = write_shard(path, pieces, tokenizer, require_space=require_space)
        ids[part] = np.array(mapped_ids(path, shard), np.int32)
    # The peer reads its vocabulary size from this file; the format is its own.
    (target / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": tokenizer.vocab_size}))
    wiki = (data / "wikitext2_valid.txt").read_bytes().decode("utf-8")
    texts = {"books": valid.replace("\x1e", ""), "wikitext2": wiki}
    return Corpus(tokenizer, ids["train"], ids["val"], texts)


def nats(logits_of: LogitsOf, ids: np.ndarray, context: int) -> float:
    """The sum of -ln p over all of ``ids`` but the first, in windows that overlap by one."""
    total, stride = 0.0, context - 1
    starts = range(0, len(ids) - 1, stride)
    whole = [s for s in starts if s + context <= len(ids)]
    groups = [whole[i : i + EVALUATED_AT_ONCE] for i in range(0, len(whole), EVALUATED_AT_ONCE)]
    rows = [np.stack([ids[s : s + context] for s in group]) for group in groups]
    if len(whole) < len(starts):
        rows.append(ids[None, starts[-1] :])
    with torch.inference_mode():
        for chunk in rows:
            window = torch.from_numpy(chunk.astype(np.int64))
            logits = logits_of(window[:, :-1])
            flat, wanted = logits.flatten(0, 1).float(), window[:, 1:].flatten()
            total += float(nn.functional.cross_entropy(flat, wanted, reduction="sum"))
    return total


def measure(logits_of: LogitsOf, corpus: Corpus, context: int) -> dict[str, float]:
    """Bits a byte of every held-out text, and WikiText-2's perplexity by words."""
    found = {}
    for name, text in corpus.texts.items():
        ids = np.array([SPECIAL_IDS[END], *corpus.tokenizer.encode(text)], np.int32)
        spent = nats(logits_of, ids, context)
        found[f"{name}_bits_per_byte"] = spent / math.log(2) / len(text.encode("utf-8"))
        if name == "wikitext2":
            words = len(text.split()) + text.count("\n")
            found["wikitext2_word_perplexity"] = math.exp(spent / words)
    return found


# ---------------------------------------------------------------------------------- ours


class Clock(Silent):
    """Notes the trainer's seconds after every step."""

    trainer: Trainer

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def update(self, done: int, **figures: float) -> None:
        if figures:
            self.seconds.append(self.trainer.counters.seconds)

    def compiling(self) -> float:
        """The time of the first step above that of the others."""
        gaps = np.diff(self.seconds)
        return self.seconds[0] - float(np.median(gaps)) if len(gaps) else 0.0


def run_ours(recipe: Recipe, corpus: Corpus, seed: int) -> Result:
    torch.compiler.reset()
    torch.manual_seed(seed)
    context, train = recipe.train.row_tokens, recipe.train
    vocab = corpus.tokenizer.vocab_size
    model = Transformer(replace(recipe.model, vocab_size=vocab, max_tokens=context))
    watch, curve = Clock(), []
    held_out = corpus.valid[:CURVE_TOKENS]

    def validate() -> float:
        with torch.compiler.set_stance("force_eager"):
            loss = nats(model, held_out, context) / (len(held_out) - 1)
        counters = watch.trainer.counters
        curve.append((counters.seconds - watch.compiling(), counters.tokens, loss))
        return loss

    config = replace(train, log_every=1, validate_every=max(1, train.steps // POINTS))
    loader = RowLoader(TokenRows(corpus.train, context), train.batch_rows, seed)
    watch.trainer = Trainer(
        Pretrain(model), loader, config, stage="ours", progress=watch, validate=validate
    )
    watch.trainer.train()
    model.eval()
    with torch.compiler.set_stance("force_eager"):
        measured = measure(model, corpus, context)
    seconds = watch.trainer.counters.seconds - watch.compiling()
    return Result("glassmind", seed, watch.trainer.counters.tokens, seconds, curve, measured)


# -------------------------------------------------------------------------------- the peer

# Starts the peer's script as it is, with another seed than the one that is written into it.
LAUNCH = (
    "import runpy, sys, torch; seed = torch.manual_seed;"
    "torch.manual_seed = lambda s: seed(s + {seed}); sys.argv = sys.argv[1:];"
    "sys.path.insert(0, '.'); runpy.run_path('train.py', run_name='__main__')"
)


def start_peer(args: argparse.Namespace, seed: int, iterations: int, every: int, out: str) -> str:
    """Run the peer; returns its output. Its checkpoint is left in ``out``."""
    depth, steps = args.depth, iterations
    evaluations = max(1, CURVE_TOKENS // (args.peer_rows * args.context))
    command = [
        sys.executable, "-c", LAUNCH.format(seed=seed), "train.py",
        "config/train_shakespeare_char.py", f"--out_dir={out}", f"--dataset={NAME}",
        "--device=cpu", f"--compile={args.peer_compile}", "--dtype=float32", "--log_interval=1",
        f"--eval_interval={every}", f"--eval_iters={evaluations}",
        f"--block_size={args.context}", f"--batch_size={args.peer_rows}", f"--n_layer={depth}",
        f"--n_head={depth}", f"--n_embd={32 * depth}", f"--max_iters={steps}",
        f"--lr_decay_iters={steps}", f"--warmup_iters={min(PEER_WARM_UP, max(1, steps // 10))}",
        "--dropout=0.0", "--always_save_checkpoint=True",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run(command, cwd=args.peer, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the peer failed:\n{done.stderr[-2000:]}")
    return done.stdout


def peer_step(args: argparse.Namespace) -> float:
    """Seconds of an iteration of the peer."""
    with tempfile.TemporaryDirectory() as out:
        printed = start_peer(args, 0, 40, 1000, out)
    times = [float(ms) / 1000 for ms in re.findall(r"time ([\d.]+)ms", printed)]
    return statistics.median(times[10:])


def run_peer(args: argparse.Namespace, corpus: Corpus, seed: int, iterations: int) -> Result:
    # An evaluation must come last; of some numbers of points, the one that costs least for that.
    choices = (max(1, iterations // points) for points in range(POINTS, 2 * POINTS))
    every = min(choices, key=lambda step: iterations % step)
    iterations = every * (iterations // every)
    with tempfile.TemporaryDirectory() as out:
        printed = start_peer(args, seed, iterations, every, out)
        kept = torch.load(Path(out) / "ckpt.pt", map_location="cpu", weights_only=True)
    times = np.array([float(ms) / 1000 for ms in re.findall(r"time ([\d.]+)ms", printed)])
    times[::every] = np.median(times)  # these include an evaluation, the first the compiling
    seconds = np.concatenate([[0.0], times.cumsum()])
    each = args.peer_rows * args.context
    curve = [
        (float(seconds[int(step)]), int(step) * each, float(loss))
        for step, loss in re.findall(r"step (\d+): train loss [\d.]+, val loss ([\d.]+)", printed)
        if int(step) > 0
    ]
    model = peer_model(args.peer, kept)
    # The peer returns the logits of all positions only if it is given targets.
    measured = measure(lambda ids: model(ids, ids.contiguous())[0], corpus, args.context)
    assert kept["iter_num"] == iterations
    spent = float(seconds[iterations])
    return Result("nanoGPT", seed, iterations * each, spent, curve, measured)


def peer_model(peer: Path, kept: dict[str, Any]) -> nn.Module:
    """The peer's own model with the weights it kept."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", peer / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    with contextlib.redirect_stdout(sys.stderr):  # it prints its size
        model: nn.Module = module.GPT(module.GPTConfig(**kept["model_args"]))
    weights = {name.removeprefix("_orig_mod."): t for name, t in kept["model"].items()}
    model.load_state_dict(weights)
    return model.eval()


# ------------------------------------------------------------------------------ comparing


def ratios(ours: list[Result], theirs: list[Result]) -> dict[str, Any]:
    """Ours over theirs, by seed, with the 95 % interval of the mean."""
    found: dict[str, Any] = {}
    for name in ours[0].measured:
        each = [a.measured[name] / b.measured[name] for a, b in zip(ours, theirs, strict=True)]
        found[name] = interval(each)
    return found


def interval(values: list[float]) -> dict[str, Any]:
    if len(values) < 2:
        return {"mean": round(values[0], 4), "low": None, "high": None}
    names = ("mean", "low", "high")
    return dict(zip(names, (round(v, 4) for v in mean_and_interval(values)), strict=True))


def seconds_until(run: Result, loss: float) -> float | None:
    """When the run's curve first reached ``loss``."""
    return next((seconds for seconds, _, value in run.curve if value <= loss), None)


def figure(runs: dict[str, list[Result]], path: Path) -> None:
    """Both curves of every run on one self-contained page."""
    drawn_once = {id(run): name for name, group in reversed(runs.items()) for run in group}
    style = Path(sys.modules["glassmind.evaluate"].__file__ or "").with_name("report.css")
    panels = []
    for axis, unit in enumerate(("seconds", "tokens")):
        lines = [
            Line(f"{name}: {run.side}", [(point[axis], point[2]) for point in run.curve], tone)
            for tone, (name, group) in enumerate(runs.items())
            for run in group
            if drawn_once[id(run)] == name
        ]
        drawn = line_chart(
            lines, unit, f"Held-out loss against {unit}.",
            x_format=lambda v: f"{v / 1e6:.3g}M" if v >= 1e5 else f"{v:.0f}",
            y_format="{:.3g}".format,
        )  # fmt: skip
        panels.append(
            f"<figure><figcaption><b>held-out loss</b> (nats a token) against {unit}</figcaption>"
            f"{drawn}{keys(lines)}</figure>"
        )
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Token efficiency</title>'
        f"<style>{style.read_text('utf-8')}</style><main><h1>Token efficiency</h1>"
        f'<div class="panels">{"".join(panels)}</div></main></html>',
        "utf-8",
    )


def run_all(
    args: argparse.Namespace, corpus: Corpus, recipe: Recipe, iterations: int
) -> dict[str, list[Result]]:
    """Every run, seed by seed, so that a slow hour of the machine affects both sides."""
    runs: dict[str, list[Result]] = {
        "ours, equal time": [], "peer, equal time": [],
        "ours, equal tokens": [], "peer, equal tokens": [],
    }  # fmt: skip
    each = args.peer_rows * args.context
    at_parameters = scaling_parameters(recipe.model, corpus.tokenizer.vocab_size)
    for seed in range(args.seeds):
        ours = run_ours(recipe, corpus, seed)
        peer = run_peer(args, corpus, seed, iterations)
        runs["ours, equal time"].append(ours)
        runs["peer, equal time"].append(peer)
        if ours.tokens > peer.tokens:
            shorter = dialled(
                base_recipe(args),
                args.depth,
                tokens_per_parameter=peer.tokens / at_parameters,
                vocab_size=corpus.tokenizer.vocab_size,
            )
            ours = run_ours(shorter, corpus, seed)
        else:
            peer = run_peer(args, corpus, seed, round(ours.tokens / each))
        runs["ours, equal tokens"].append(ours)
        runs["peer, equal tokens"].append(peer)
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    return runs


def base_recipe(args: argparse.Namespace) -> Recipe:
    recipe = read_recipe("text")
    return replace(
        recipe,
        model=replace(recipe.model, max_tokens=args.context),
        train=replace(recipe.train, row_tokens=args.context),
        tokenizer=replace(recipe.tokenizer, vocab_size=args.vocab),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer", type=Path, required=True, help="a nanoGPT checkout")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GLASSMIND_DATA", ".")))
    parser.add_argument("--minutes", type=float, default=3.0, help="training time of each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=1024)
    parser.add_argument("--megabytes", type=float, default=24.0, help="of books to train on")
    parser.add_argument("--valid-megabytes", type=float, default=1.0, help="of held-out books")
    parser.add_argument("--peer-rows", type=int, default=12)
    parser.add_argument("--peer-compile", choices=("True", "False"), default="True")
    parser.add_argument("--out", type=Path, help="write all curves as JSON and as a page")
    args = parser.parse_args()
    args.peer = args.peer.resolve()
    torch.set_num_threads(args.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            corpus = prepare(args, Path(folder))
        recipe = within(
            base_recipe(args), args.minutes, args.depth, lambda r: r, device=torch.device("cpu")
        )
        iterations = int(args.minutes * 60 * (1 - MARGIN) / peer_step(args))
        started = time.monotonic()
        runs = run_all(args, corpus, recipe, iterations)
    finally:
        shutil.rmtree(args.peer / "data" / NAME, ignore_errors=True)
    report(args, recipe, runs, time.monotonic() - started)


def report(
    args: argparse.Namespace, recipe: Recipe, runs: dict[str, list[Result]], seconds: float
) -> None:
    names = list(runs["ours, equal time"][0].measured)
    print(f"{'':22}{'seed':>5}{'tokens':>12}{'seconds':>9}" + "".join(f"{n:>27}" for n in names))
    for name, group in runs.items():
        for run in group:
            figures = "".join(f"{run.measured[n]:>27.4f}" for n in names)
            print(f"{name:22}{run.seed:>5}{run.tokens:>12,}{run.seconds:>9.1f}{figures}")
    ours, peers = runs["ours, equal time"], runs["peer, equal time"]
    reached = [seconds_until(a, b.curve[-1][2]) for a, b in zip(ours, peers, strict=True)]
    shares = [r / b.seconds for r, b in zip(reached, peers, strict=True) if r is not None]
    result = {
        "benchmark": "token_efficiency",
        "minutes": args.minutes,
        "seeds": args.seeds,
        "threads": args.threads,
        "depth": args.depth,
        "context": args.context,
        "vocabulary": args.vocab,
        "batch_tokens": {"ours": batch_tokens(recipe), "peer": args.peer_rows * args.context},
        "equal_time": ratios(ours, peers),
        "equal_tokens": ratios(runs["ours, equal tokens"], runs["peer, equal tokens"]),
        "time_to_peers_last_loss": interval(shares) if len(shares) == len(peers) else None,
        "tokens_in_equal_time": interval(
            [a.tokens / b.tokens for a, b in zip(ours, peers, strict=True)]
        ),
        "seconds_in_equal_time": interval(
            [a.seconds / b.seconds for a, b in zip(ours, peers, strict=True)]
        ),
        "wall_seconds": round(seconds),
    }
    if args.out:
        curves = {name: [vars(run) for run in group] for name, group in runs.items()}
        args.out.write_text(json.dumps(result | {"runs": curves}, indent=1) + "\n", "utf-8")
        figure(runs, args.out.with_suffix(".html"))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
