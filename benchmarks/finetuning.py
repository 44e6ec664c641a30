"""The cost of low-rank and quantized fine-tuning, compared with ``peft`` on ``transformers``.

    python benchmarks/finetuning.py [--model smollm2] [--steps 10] [--tokens 512] [--rank 8]

Every case trains in a process of its own, on the same rows of random tokens, with AdamW, in
bfloat16 autocast if the machine supports it: all weights; LoRA on weights stored as floats, in
eight bits and in four; and the peer's LoRA on the same model, exported. The columns are the number
of trained parameters; the megabytes of the blocks' matrices; the process's peak memory above its
memory once the model is loaded; tokens per second (median step); and the error of quantization: the
root mean square of the change of the logits, divided by their standard deviation. Without --model,
a random Llama of ``--d-model`` and ``--layers`` is used, whose error says little about that of a
trained model. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glassmind.interop.huggingface import save_folder
from glassmind.interop.load import load_pretrained
from glassmind.interop.pretrained import Pretrained
from glassmind.model import AttentionConfig, FeedForwardConfig, ModelConfig, Transformer
from glassmind.model.quantized import QuantizedLinear
from glassmind.runs.recipe import LoraConfig
from glassmind.train.arithmetic.precision import choose_precision
from glassmind.train.lora import add_lora

CASES = ("all weights", "lora float", "lora int8", "lora nf4", "peft")


def write_model(args: argparse.Namespace, folder: Path) -> None:
    """The model that all cases load, as a Hugging Face folder."""
    if args.model:
        save_folder(load_pretrained(args.model), folder)
        return
    torch.manual_seed(0)
    model = Transformer(
        ModelConfig(
            vocab_size=8192,
            max_tokens=max(2048, args.tokens),
            d_model=args.d_model,
            n_layers=args.layers,
            attention=AttentionConfig(args.d_model // 64, qk_norm=False),
            feed_forward=FeedForwardConfig("swiglu"),
        )
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.02)
    save_folder(Pretrained(model, None, None, frozenset(), None, "random", folder), folder)


class Resident:
    """The peak memory of the process while the block runs, above its memory before."""

    def __enter__(self) -> Resident:
        self.before = self.peak = resident()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.stop.wait(0.005):
            self.peak = max(self.peak, resident())

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def resident() -> int:
    """Bytes of the process's own memory and of the files it has mapped."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def block_bytes(model: nn.Module) -> int:
    """Bytes of the matrices in the blocks as they are stored, without low-rank factors."""
    total = 0
    for name, module in model.named_modules():
        if isinstance(module, QuantizedLinear):
            total += module.n_bytes()
        elif (
            isinstance(module, nn.Linear)
            and ("blocks." in name or "layers." in name)
            and "lora_" not in name
        ):
            total += module.weight.numel() * module.weight.element_size()
    return total


def measure(case: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One case, in this process."""
    autocast = choose_precision("cpu").autocast_dtype
    error = 0.0
    ids = torch.randint(1000, (1, args.tokens), generator=torch.Generator().manual_seed(0))
    model: Any
    if case == "peft":
        import peft
        import transformers

        transformers.utils.logging.disable_progress_bar()
        base = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        config = peft.LoraConfig(r=args.rank, lora_alpha=16, target_modules=names)
        model = peft.get_peft_model(base, config)
    else:
        model = load_pretrained(folder).model
        if case != "all weights":
            with torch.no_grad():
                before = model(ids)
                kind: Any = case.removeprefix("lora ")
                add_lora(model, LoraConfig(rank=args.rank, base=kind))
                error = float((model(ids) - before).square().mean().sqrt() / before.std())
                del before

    def loss() -> Tensor:
        with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
            logits = model(input_ids=ids).logits if case == "peft" else model(ids)
            return nn.functional.cross_entropy(logits[0, :-1].float(), ids[0, 1:])

    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    seconds = []
    with Resident() as memory:
        for _ in range(args.steps):
            started = time.perf_counter()
            loss().backward()
            optimizer.step()
            optimizer.zero_grad()
            seconds.append(time.perf_counter() - started)
    return {
        "trained": sum(p.numel() for p in trained),
        "block_mb": block_bytes(model) / 1e6,
        "peak_mb": (memory.peak - memory.before) / 1e6,
        "tokens_per_second": args.tokens / statistics.median(seconds),
        "logit_error": error,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--d-model", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.case:
        print(json.dumps(measure(args.case, args.folder, args)))
        return
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "model"
        write_model(args, folder)
        print(f"{'':12}{'trained':>12}{'blocks MB':>11}{'peak MB':>9}{'tokens/s':>10}{'error':>9}")
        for case in CASES:
            command = [sys.executable, __file__, *sys.argv[1:], "--case", case]
            command += ["--folder", str(folder)]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            row = results[case] = json.loads(answer.stdout.splitlines()[-1])
            print(
                f"{case:12}{row['trained']:12,}{row['block_mb']:11.1f}{row['peak_mb']:9.0f}"
                f"{row['tokens_per_second']:10.0f}{row['logit_error']:9.4f}"
            )
    ratio = results["lora float"]["tokens_per_second"] / results["peft"]["tokens_per_second"]
    print(json.dumps({"benchmark": "finetuning", "cases": results, "speed_ratio": ratio}))


if __name__ == "__main__":
    main()
