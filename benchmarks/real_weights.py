"""Published weights loaded by Glassmind, compared with transformers reading the same file.

    python benchmarks/real_weights.py --gguf smollm2 gemma3-270m.gguf --stories stories15M.bin

For every GGUF: whether a text of Shakespeare becomes the same ids, the largest difference of the
logits of its first tokens (in units of the logits' standard deviation), and how many greedy tokens
after several prompts are the same; also the processor seconds of loading, the peak memory that our
loading adds to the program's own, and tokens per second on one thread. For llama2.c's stories15M,
whose tokenizer is under $GLASSMIND_DATA, the story is printed.

The last line is one JSON object; the exit code is 1 if a token differs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers
from load_memory import status
from rich.console import Console
from rich.table import Table

from glassmind.generate import Engine, Request, SamplingParams
from glassmind.interop.gguf import load_gguf
from glassmind.interop.llama2c import load_llama2c
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.shipped_packages import SHIPPED_MODELS, shipped_model
from glassmind.interop.tokenizers import load_tokenizer

T = TypeVar("T")
PROMPTS = ("The capital of France is", "Once upon a time, there was", "def factorial(n):")
LOGITS_TOKENS = 256


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result and the processor seconds it took."""
    started = time.process_time()
    return work(), time.process_time() - started


def generate(model: Any, prompts: list[list[int]], n: int) -> list[list[int]]:
    """Our greedy continuation of each prompt, one at a time."""
    engine = Engine(model)
    params = SamplingParams(max_new_tokens=n, temperature=0)
    return [list(engine.generate([Request(tuple(p), params)])[0][0].token_ids) for p in prompts]


def generate_theirs(model: Any, prompts: list[list[int]], n: int) -> list[list[int]]:
    model.generation_config.eos_token_id = None  # goes on for n tokens, as ours does
    found = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=n
        )
        found.append(out[0, len(prompt) :].tolist())
    return found


def peak_mib(load: Callable[[str], object], path: str) -> float:
    """The peak memory that loading adds in a separate process."""
    import gguf  # noqa: F401  # the program's own part

    torch.set_num_threads(1)
    before = status("VmRSS")
    loaded = load(path)
    peak = status("VmHWM") - before
    del loaded  # keeps it alive until here
    return round(peak / 2**20, 1)


def compare(path: Path, text: str, n_tokens: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, max_tasks_per_child=1) as pool:
        peaks = [pool.submit(peak_mib, load, str(path)) for load in (load_gguf, load_tokenizer)]
    ours, our_seconds = timed(lambda: load_gguf(path))
    there = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    theirs, their_seconds = timed(
        lambda: transformers.AutoModelForCausalLM.from_pretrained(
            **there, dtype=torch.float32, local_files_only=True
        ).eval()
    )
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(**there, local_files_only=True)
    if ours.tokenizer is None:
        sys.exit(f"{path} has no tokenizer")
    ids = ours.tokenizer.encode(text)
    before = [] if ours.bos_id is None else [ours.bos_id]
    with torch.inference_mode():
        some = torch.tensor([before + ids[:LOGITS_TOKENS]])
        a, b = ours.model(some), theirs(some).logits
    prompts = [before + ours.tokenizer.encode(prompt) for prompt in PROMPTS]
    mine, my_time = timed(lambda: generate(ours.model, prompts, n_tokens))
    other, their_time = timed(lambda: generate_theirs(theirs, prompts, n_tokens))
    tokens = n_tokens * len(prompts)
    return {
        "file": path.name,
        "ids": len(ids),
        "same_ids": ids == their_tokenizer.encode(text, add_special_tokens=False),
        "logits": float((a - b).abs().max() / b.std()),
        "same_argmax": float((a.argmax(-1) == b.argmax(-1)).float().mean()),
        "tokens": tokens,
        "same_tokens": sum(
            x == y for m, o in zip(mine, other, strict=True) for x, y in zip(m, o, strict=True)
        ),
        "load_seconds": [our_seconds, their_seconds],
        "tokens_per_second": [tokens / my_time, tokens / their_time],
        "weights_mib": round(sum(w.nbytes for w in ours.model.parameters()) / 2**20, 1),
        "peak_mib": peaks[0].result(),
        "tokenizer_mib": peaks[1].result(),
    }


def tell_story(path: Path, data: Path) -> str:
    loaded: Pretrained = load_llama2c(path)
    tokenizer = load_tokenizer(data / "tokenizers" / "llama2")
    start = [1, *tokenizer.encode("Once upon a time")]
    return tokenizer.decode(start[1:] + generate(loaded.model, [start], 100)[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gguf", nargs="*", default=["smollm2"], help="GGUF files, or smollm2")
    parser.add_argument("--stories", type=Path, help="llama2.c's stories15M.bin")
    parser.add_argument("--characters", type=int, default=200_000, help="characters to tokenize")
    parser.add_argument("--tokens", type=int, default=64, help="tokens after each of three prompts")
    args = parser.parse_args()
    if "GLASSMIND_DATA" not in os.environ:
        parser.error("set GLASSMIND_DATA")
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    data = Path(os.environ["GLASSMIND_DATA"])
    text = (data / "text" / "tinyshakespeare.txt").read_text("utf-8")[: args.characters]
    paths = [shipped_model(name) if name in SHIPPED_MODELS else Path(name) for name in args.gguf]
    rows = [compare(path, text, args.tokens) for path in paths]
    story = tell_story(args.stories, data) if args.stories else None

    table = Table(title="GGUF files: ours against transformers, one thread")
    table.add_column("")
    for row in rows:
        table.add_column(row["file"], justify="right")
    shown: dict[str, Callable[[dict[str, Any]], str]] = {
        "ids of a text the same": lambda r: f"{r['ids']:,}: {'yes' if r['same_ids'] else 'NO'}",
        "largest difference of logits": lambda r: f"{r['logits']:.1e}",
        "greedy tokens the same": lambda r: f"{r['same_tokens']} of {r['tokens']}",
        "loading, s: ours, theirs": lambda r: "{:.1f}, {:.1f}".format(*r["load_seconds"]),
        "tokens/s: ours, theirs": lambda r: "{:.1f}, {:.1f}".format(*r["tokens_per_second"]),
        "MiB: weights, most in use": lambda r: f"{r['weights_mib']:.0f}, {r['peak_mib']:.0f}",
        "MiB: the tokenizer's part": lambda r: f"{r['tokenizer_mib']:.0f}",
    }
    for title, cell in shown.items():
        table.add_row(title, *map(cell, rows))
    Console(width=100).print(table)
    if story:
        print(story)
    print(
        json.dumps(
            {
                "benchmark": "real_weights",
                "rows": rows,
                "story": story,
                "transformers": transformers.__version__,
                "torch": torch.__version__,
            }
        )
    )
    return 0 if all(r["same_ids"] and r["same_tokens"] == r["tokens"] for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
