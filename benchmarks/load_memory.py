"""Memory for loading a model, compared with ``from_pretrained`` of transformers.

    python benchmarks/load_memory.py --megabytes 500

Writes a folder with a random Llama, stored in bfloat16 and again in float32, then loads it in a
process of its own for every case, after all imports and with the peak reset. What a process
occupies has two parts: its own memory, and pages of mapped files, which the system can reclaim at
any time and which all processes share. The main figure is the peak of both together above what was
occupied before, divided by the bytes of the weights in the requested dtype; the target is 1.1. The
peak of a process's own memory is sampled every millisecond. After loading, every weight is read
once, so that lazily mapped pages count too. The last line is one JSON object; the exit code is 1 if
the target is missed. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from glassmind.interop.huggingface import load_folder, save_folder
from glassmind.interop.pretrained import Pretrained
from glassmind.model import AttentionConfig, FeedForwardConfig, ModelConfig, Transformer

TARGET = 1.1
LOADERS = ("glassmind", "transformers")
# Stored as, wanted as.
CASES = (("bfloat16", "bfloat16"), ("float32", "float32"), ("bfloat16", "float32"))


def config_of(megabytes: float) -> ModelConfig:
    """A Llama whose weights take about ``megabytes`` in float32."""
    d_model, vocab_size = 1024, 32_000
    d_hidden = 2816
    a_layer = 4 * d_model**2 + 3 * d_model * d_hidden
    n_layers = max(1, round((megabytes * 1e6 / 4 - 2 * vocab_size * d_model) / a_layer))
    return ModelConfig(
        vocab_size=vocab_size,
        max_tokens=2048,
        d_model=d_model,
        n_layers=n_layers,
        tie_embeddings=False,
        attention=AttentionConfig(16, qk_norm=False),
        feed_forward=FeedForwardConfig("swiglu", d_hidden),
    )


def status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


def measure(loader: str, folder: Path, dtype: torch.dtype) -> dict[str, float]:
    """Load in this process; returns the peak memory above that before, in bytes, and seconds."""
    if loader == "transformers":
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        config = transformers.LlamaConfig(
            vocab_size=8, hidden_size=8, num_attention_heads=2, num_hidden_layers=1
        )
        transformers.LlamaForCausalLM(config)  # triggers the imports that happen on first use

    peak_own, over = 0, False

    def watch() -> None:
        nonlocal peak_own
        while not over:
            peak_own = max(peak_own, status("RssAnon"))
            time.sleep(0.001)

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, own_before = status("VmRSS"), status("RssAnon")
    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    if loader == "transformers":
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    else:
        model = load_folder(folder, dtype).model
    seconds = time.perf_counter() - start
    for weight in model.parameters():
        weight.detach().view(-1)[:: 1024 // weight.element_size()].sum()
    over = True
    watcher.join()
    return {
        "peak": status("VmHWM") - before,
        "own": peak_own - own_before,
        "seconds": seconds,
    }


def in_a_process(loader: str, folder: Path, dtype: str) -> dict[str, float]:
    """``measure`` in a fresh process."""
    command = [sys.executable, __file__, "--measure", loader, str(folder), dtype]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=500, help="size of the float32 weights")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        loader, folder, dtype = args.measure
        print(json.dumps(measure(loader, Path(folder), getattr(torch, dtype))))
        return 0

    config = config_of(args.megabytes)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        torch.manual_seed(0)
        model = Transformer(config)
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
        for stored in ("float32", "bfloat16"):
            model = model.to(getattr(torch, stored))
            whole = Pretrained(model, None, None, frozenset(), None, "random", Path(place))
            save_folder(whole, Path(place) / stored, "llama")
        del model, whole
        for stored, wanted in CASES:
            n_bytes = n_parameters * getattr(torch, wanted).itemsize
            for loader in LOADERS:
                figures = in_a_process(loader, Path(place) / stored, wanted)
                rows.append(
                    {
                        "loader": loader,
                        "stored": stored,
                        "wanted": wanted,
                        "ratio": round(figures["peak"] / n_bytes, 3),
                        "own_ratio": round(figures["own"] / n_bytes, 3),
                        "seconds": round(figures["seconds"], 3),
                    }
                )

    table = Table(title=f"Loading {n_parameters / 1e6:.0f} million parameters")
    for heading in ("loader", "stored as", "wanted as"):
        table.add_column(heading)
    for heading in ("peak / weights", "own memory / weights", "seconds"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=100).print(table)
    worst = max(row["ratio"] for row in rows if row["loader"] == "glassmind")
    print(
        json.dumps(
            {
                "benchmark": "load_memory",
                "parameters": n_parameters,
                "rows": rows,
                "worst_ratio": worst,
                "target": TARGET,
                "torch": torch.__version__,
                "python": sys.version.split()[0],
            }
        )
    )
    return 0 if worst <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
