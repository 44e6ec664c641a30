"""GGUF files written by Glassmind and run by llama.cpp: does it generate the same tokens?

    python benchmarks/gguf_export.py --llama-python /path/to/python/with/llama-cpp-python

Every published architecture that a GGUF can express is built small, with random weights, written as
F32 and run by llama.cpp; then SmolLM2-135M-Instruct (or ``--model``) is written in every kind.
After several prompts, three things are compared: the greedy tokens up to the first that differs
(``equal``); how often our model chooses the same token as llama.cpp, given llama.cpp's text
(``same``); and the largest difference of the logits after the prompt, in units of their standard
deviation. For files of fewer bits, our model is loaded from that same file. llama.cpp rounds the
inputs of the matrices of such a file to 16 bits (F16, BF16) or 8 (Q8_0), and our model does not, so
there are two rows: one with our 32-bit arithmetic, and one (``rounding``) in which we round as
llama.cpp does. If a choice differs, ``gap`` is the largest distance of llama.cpp's choice from our
best logit, in the same unit.

The last line is one JSON object; the exit code is 1 if an F32 file differs in a token.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from glassmind.errors import UserError
from glassmind.interop.gguf import Kind, load_gguf, save_gguf
from glassmind.interop.load import load_pretrained
from glassmind.interop.pretrained import Pretrained
from glassmind.learn.architectures.scaled_down import scaled_down
from glassmind.model import PRESETS, KVCache, ModelConfig, RopeScaling, Transformer

SIDE = Path(__file__).with_name("llama_cpp_side.py")
VOCAB, LENGTHS = 160, (3, 40, 150)  # of the random models, and their prompts in tokens
TEXTS = ("The capital of France is", "Once upon a time, there was", "def factorial(n):")
YARN = RopeScaling("yarn", factor=4.0, original_tokens=64)


@dataclass(frozen=True)
class Row:
    """The result of one file over ``compared`` tokens; see the top of this file."""

    name: str
    kind: str
    megabytes: float
    compared: int
    equal: int
    same: int
    logits: float
    gap: float
    ours_per_second: float
    theirs_per_second: float


def architectures() -> dict[str, ModelConfig]:
    """Every preset at a tiny size, and RoPE extensions that no preset has."""
    small = {
        name: replace(scaled_down(config, d_model=64, max_tokens=256), vocab_size=VOCAB)
        for name, config in PRESETS.items()
    }

    def stretched(name: str, scaling: RopeScaling) -> ModelConfig:
        return replace(small[name], positions=replace(small[name].positions, scaling=scaling))

    return {
        **small,
        "llama2, linear": stretched("llama2", RopeScaling("linear", factor=4.0)),
        "llama2, yarn": stretched("llama2", YARN),
        "qwen3, yarn": stretched("qwen3", YARN),
        "gemma3, linear": stretched("gemma3", RopeScaling("linear", factor=8.0)),
        "deepseek-v3, plain": stretched("deepseek-v3", RopeScaling()),
    }


def random_model(config: ModelConfig) -> Transformer:
    """Random weights that all affect the output, and do not repeat one token for ever."""
    torch.manual_seed(1)
    model = Transformer(config).eval()
    for name, weight in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            torch.nn.init.uniform_(weight, 0.5, 1.5)
        elif weight.dim() == 1 or "embed" in name:
            torch.nn.init.normal_(weight, std=0.1)
        else:
            torch.nn.init.normal_(weight, std=1.5 * weight.shape[-1] ** -0.5)
    return model


@torch.inference_mode()
def greedy(model: Transformer, prompt: list[int], n: int) -> tuple[list[int], float]:
    """The likeliest tokens, and processor seconds a token."""
    cache = KVCache(model.config, 1, len(prompt) + n)
    logits = model(torch.tensor([prompt]), cache=cache)
    tokens: list[int] = []
    started = time.process_time()
    for _ in range(n):
        tokens.append(int(logits[0, -1].argmax()))
        logits = model(torch.tensor([tokens[-1:]]), cache=cache)
    return tokens, (time.process_time() - started) / n


def rounded_q8_0(x: Tensor) -> Tensor:
    """Round to 8 bits: 32 neighbours share a 16-bit scale, and the largest becomes 127."""
    blocks = x.unflatten(-1, (-1, 32))
    scale = blocks.abs().amax(-1, keepdim=True) / 127
    whole = blocks / scale.where(scale > 0, 1.0)
    # C's roundf: halves away from zero.
    whole = torch.sign(whole) * torch.floor(whole.abs() + 0.5)
    return (whole * scale.half().float()).flatten(-2)


ROUNDING: dict[str, Callable[[Tensor], Tensor]] = {
    "f16": lambda x: x.half().float(),
    "bf16": lambda x: x.bfloat16().float(),
    "q8_0": rounded_q8_0,
}


@contextmanager
def rounding(model: Transformer, kind: str) -> Iterator[None]:
    """Round the inputs of matrices as llama.cpp does for a file of this kind."""
    hooks = [
        module.register_forward_pre_hook(lambda _, given: (ROUNDING[kind](given[0]),))
        for module in model.modules()
        if isinstance(module, torch.nn.Linear)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def ask_llama_cpp(python: str, path: Path, prompts: list[list[int]], n: int) -> dict[str, Any]:
    jobs = [{"path": str(path), "prompts": prompts, "tokens": n}]
    done = subprocess.run(
        [python, str(SIDE)], input=json.dumps(jobs), capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {"error": done.stderr[-500:]}
    if "error" in found:
        sys.exit(f"llama.cpp does not run {path.name}: {found['error']}")
    return found


def compare(
    name: str, kind: str, path: Path, prompts: list[list[int]], args: argparse.Namespace
) -> Iterator[Row]:
    """A row, and if llama.cpp rounds, one in which our model rounds too."""
    model = load_gguf(path).model
    theirs = ask_llama_cpp(args.llama_python, path, prompts, args.tokens)
    megabytes = round(path.stat().st_size / 1e6, 1)
    yield hold_against(name, kind, megabytes, model, theirs, prompts, args.tokens)
    if kind in ROUNDING:
        with rounding(model, kind):
            kind = f"{kind}, rounding"
            yield hold_against(name, kind, megabytes, model, theirs, prompts, args.tokens)


def hold_against(
    name: str,
    kind: str,
    megabytes: float,
    model: Transformer,
    theirs: dict[str, Any],
    prompts: list[list[int]],
    n: int,
) -> Row:
    equal, same, off, gap, seconds = 0, 0, 0.0, 0.0, 0.0
    for prompt, tokens, first in zip(prompts, theirs["tokens"], theirs["logits"], strict=True):
        ours, each = greedy(model, prompt, n)
        seconds += each / len(prompts)
        equal += next((i for i in range(n) if ours[i] != tokens[i]), n)
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + tokens[:-1]]))[0, len(prompt) - 1 :]
        scale = float(logits[0].std())
        off = max(off, float((logits[0] - torch.tensor(first)).abs().max()) / scale)
        short = logits.amax(-1) - logits.gather(1, torch.tensor(tokens)[:, None])[:, 0]
        same += int((short == 0).sum())
        gap = max(gap, float(short.max()) / scale)
    return Row(
        name,
        kind,
        megabytes,
        n * len(prompts),
        equal,
        same,
        off,
        gap,
        1 / seconds,
        1 / theirs["seconds_per_token"],
    )


def run(args: argparse.Namespace, folder: Path) -> tuple[list[Row], dict[str, str]]:
    rows, refused = [], {}
    prompts = [torch.randint(VOCAB, (n,)).tolist() for n in LENGTHS]
    for name, config in architectures().items():
        path = folder / "tiny.gguf"
        tiny = Pretrained(random_model(config), None, None, frozenset(), None, name, path)
        try:
            save_gguf(tiny, path, "f32")
        except UserError as error:
            refused[name] = str(error)
            continue
        rows += compare(name, "f32", path, prompts, args)
        print(rows[-1].name, file=sys.stderr, flush=True)
    real = load_pretrained(args.model)
    if real.tokenizer is None:
        sys.exit(f"{args.model} has no tokenizer")
    before = [] if real.bos_id is None else [real.bos_id]
    prompts = [before + real.tokenizer.encode(text) for text in TEXTS]
    for kind in get_args(Kind):
        path = folder / f"{kind}.gguf"
        save_gguf(real, path, kind)
        rows += compare(args.model, kind, path, prompts, args)
        print(args.model, kind, file=sys.stderr, flush=True)
        path.unlink()
    return rows, refused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--llama-python", required=True, help="a Python with llama-cpp-python")
    parser.add_argument("--model", default="smollm2", help="the model written in every kind")
    parser.add_argument("--tokens", type=int, default=64, help="tokens after each of three prompts")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        rows, refused = run(args, Path(folder))
    table = Table(title="GGUF files of ours: our model against llama.cpp, one thread")
    columns = ("model", "file", "MB", "tokens", "equal", "same", "logits", "gap", "tok/s", "theirs")
    for column in columns:
        table.add_column(column, justify="left" if column in columns[:2] else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.name,
            row.kind,
            f"{row.megabytes:.1f}",
            f"{row.compared}",
            f"{row.equal}",
            f"{row.same}",
            f"{row.logits:.0e}",
            f"{row.gap:.0e}" if row.gap else "",
            f"{row.ours_per_second:.1f}",
            f"{row.theirs_per_second:.1f}",
        )
    Console(width=130).print(table)
    for name, why in refused.items():
        print(f"{name}: {why}")
    print(
        json.dumps(
            {
                "benchmark": "gguf_export",
                "rows": [asdict(row) for row in rows],
                "refused": refused,
                "torch": torch.__version__,
            }
        )
    )
    return 0 if all(row.equal == row.compared for row in rows if row.kind == "f32") else 1


if __name__ == "__main__":
    sys.exit(main())
