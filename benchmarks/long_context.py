"""Long contexts: memory of attention over 32,768 tokens, compared with a table of all pairs.

    python benchmarks/long_context.py             # minutes for each long case, on one core
    python benchmarks/long_context.py --no-peer   # without FlexAttention, which has to be compiled

One layer in SmolLM2's shape (d_model 576, 9 heads of 64, 3 kv heads), float32, one thread, under
four masks: causal, a window of 1024, ALiBi, and packed documents of 3,000 tokens given as a
predicate. "ours" is the model's own code (``Scoring.lower``, then ``attend``): attention alone,
from queries, keys and values; the attention layer with its projections; the whole block. "dense" is
the same attention with a table of all pairs: the mask as a table for PyTorch's fused kernel, and
for plain causal attention, which needs no mask, the formula. It is measured at a length that fits
and extrapolated by the square of the length. The peer is FlexAttention, compiled, with its block
mask built anew like ours; on a CPU it has no backward pass.

Every case runs in a separate process, after a short row as warm-up. The peak is the highest
resident memory during the call above that before it (Linux); seconds are processor time. Prints a
table and one JSON line; the exit code is 1 if a bound is exceeded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from glassmind.model import (
    PRESETS,
    Mask,
    ModelConfig,
    Scoring,
    Transformer,
    VisibleKeys,
    causal,
    same_document,
)
from glassmind.model.attention_kernels import attend, explicit_attention, fused_attention
from glassmind.model.config import AttentionConfig, PositionConfig

WINDOW, DOCUMENT = 1024, 3000
MASKS = ("causal", "window", "alibi", "documents")
WARM_UP = 640  # tokens

# MB above the inputs. They grow with the tokens, not with their square: the queries of 32,768
# tokens alone are 75 MB, and so is the answer.
BOUNDS = {
    ("attention", "forward"): 300,
    ("layer", "forward"): 700,
    ("block", "forward"): 1100,
    ("attention", "training"): 200,
}


def config(mask: str, tokens: int) -> ModelConfig:
    """One layer in SmolLM2's shape."""
    window = WINDOW if mask == "window" else 0
    smollm = PRESETS["smollm2"]
    return ModelConfig(
        vocab_size=1,
        max_tokens=tokens,
        d_model=smollm.d_model,
        n_layers=1,
        attention=AttentionConfig(n_heads=9, n_kv_heads=3, qk_norm=False, window=window),
        positions=PositionConfig("alibi") if mask == "alibi" else smollm.positions,
        feed_forward=smollm.feed_forward,
    )


def predicate(mask: str, tokens: int) -> Mask | None:
    """The mask that a caller passes in addition to the layer's own."""
    return (
        causal & same_document((torch.arange(tokens) // DOCUMENT)[None])
        if (mask == "documents")
        else None
    )


def lowered(scoring: Scoring, mask: str, tokens: int) -> Tensor | VisibleKeys | None:
    return scoring.lower(predicate(mask, tokens), torch.arange(tokens), 1, tokens)


Call = Callable[[int], Tensor]


def attention_call(mask: str, way: str, tokens: int, training: bool) -> Call:
    """Attention alone, over the first n of ``tokens`` tokens."""
    settings = config(mask, tokens)
    scoring = Transformer(settings).blocks[0].attention.scoring
    assert isinstance(scoring, Scoring)
    generator = torch.Generator().manual_seed(0)
    heads = (settings.attention.n_heads, settings.n_kv_heads, settings.n_kv_heads)
    q, k, v = (torch.randn(1, n, tokens, settings.head_dim, generator=generator) for n in heads)

    def dense(n: int, *qkv: Tensor) -> Tensor:
        if mask == "causal":
            return explicit_attention(*qkv, None, scoring.scale)
        every = torch.arange(n)
        table = VisibleKeys(scoring, predicate(mask, n), every, 1).tile(every, every)
        return fused_attention(*qkv, table, scoring.scale)

    def call(n: int) -> Tensor:
        qkv = [x[:, :, :n].detach().requires_grad_(training) for x in (q, k, v)]
        if way == "dense":
            return dense(n, *qkv)
        return attend(qkv[0], qkv[1], qkv[2], lowered(scoring, mask, n), scoring.scale)

    return call if way != "peer" else flex_call(mask, scoring, q, k, v)


def flex_call(mask: str, scoring: Scoring, q: Tensor, k: Tensor, v: Tensor) -> Call:
    """The same through FlexAttention."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    documents = torch.arange(q.shape[2]) // DOCUMENT
    slopes = scoring.slopes_H

    def visible(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        if mask == "window":
            return (key <= query) & (query - key < WINDOW)
        if mask == "documents":
            return (key <= query) & (documents[query] == documents[key])
        return key <= query

    def attention_bias(score: Tensor, b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        assert slopes is not None
        return score - slopes[h] * (query - key)

    attention, blocks = torch.compile(flex_attention), torch.compile(create_block_mask)

    def call(n: int) -> Tensor:
        q_n, k_n, v_n = (x[:, :, :n] for x in (q, k, v))
        answer: Tensor = attention(
            q_n,
            k_n,
            v_n,
            score_mod=None if slopes is None else attention_bias,
            block_mask=blocks(visible, None, None, n, n, device="cpu"),
            scale=scoring.scale,
            enable_gqa=True,
        )
        return answer

    return call


def layer_call(mask: str, scope: str, tokens: int) -> Call:
    """The attention layer with its projections, or the whole block, from its input."""
    model = Transformer(config(mask, tokens))
    block = model.blocks[0]
    x_BTD = torch.randn(1, tokens, 576, generator=torch.Generator().manual_seed(0))

    def call(n: int) -> Tensor:
        part = block if scope == "block" else block.attention
        scoring = block.attention.scoring
        assert isinstance(scoring, Scoring)
        rotation = model.rotations(torch.arange(n))[block.plan.rotary]  # type: ignore[union-attr, index]
        answer: Tensor = part(x_BTD[:, :n], rotation, lowered(scoring, mask, n), None)  # type: ignore[operator]
        return answer

    return call


def resident(field: str) -> float:
    """A field of this process's status in MB: VmRSS is the current resident memory, VmHWM the peak
    since the last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no {field} in /proc/self/status: this needs Linux")


def measure(mask: str, scope: str, way: str, tokens: int, training: bool) -> dict[str, float]:
    """Peak memory and seconds of one call."""
    torch.set_num_threads(1)
    if scope == "attention":
        call = attention_call(mask, way, tokens, training)
    else:
        call = layer_call(mask, scope, tokens)

    def once(n: int) -> None:
        answer = call(n)
        if training:
            answer.backward(answer.detach())

    with torch.set_grad_enabled(training):
        # Compiled code is specialized to one length.
        once(tokens if way == "peer" else WARM_UP)
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        started = time.process_time()
        once(tokens)
        seconds = time.process_time() - started
    return {"megabytes": round(resident("VmHWM") - before, 1), "seconds": round(seconds, 2)}


def run_case(case: dict[str, Any]) -> dict[str, float] | None:
    """``measure`` in a separate process; ``None`` after printing the error if it failed."""
    command = [sys.executable, __file__, "--case", json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{case} failed: {last}", file=sys.stderr)
        return None
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(case | result), file=sys.stderr)  # minutes may pass until the table
    return result


def cases(args: argparse.Namespace) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []

    def add(scope: str, way: str, tokens: int, training: bool = False) -> None:
        values = {"scope": scope, "way": way, "tokens": tokens, "training": training}
        out.extend({"mask": mask} | values for mask in args.masks)

    for scope in ("attention", "layer", "block"):
        add(scope, "ours", args.tokens)
    if args.peer:
        add("attention", "peer", args.tokens)
    add("attention", "dense", args.dense_tokens)
    add("attention", "ours", args.training_tokens, training=True)
    add("attention", "dense", args.dense_training_tokens, training=True)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=32_768)
    parser.add_argument("--training-tokens", type=int, default=8192)
    parser.add_argument("--dense-tokens", type=int, default=8192)
    parser.add_argument("--dense-training-tokens", type=int, default=4096)
    parser.add_argument("--masks", nargs="+", choices=MASKS, default=MASKS)
    parser.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(**json.loads(args.case))))
        return 0

    table = Table(title=f"attention over {args.tokens:,} tokens, 9 heads of 64, float32, one core")
    for column in ("what", "mask", "way", "pass", "tokens", "MB", "MB scaled", "bound", "s"):
        table.add_column(column, justify="left" if column in ("what", "mask", "way") else "right")
    rows, kept = [], True
    for case in cases(args):
        result = run_case(case)
        if result is None:
            rows.append(case | {"failed": True})
            continue
        direction = "training" if case["training"] else "forward"
        full = args.training_tokens if case["training"] else args.tokens
        scaled = result["megabytes"] * (full / case["tokens"]) ** 2
        bound = BOUNDS.get((case["scope"], direction)) if case["way"] == "ours" else None
        if bound is not None:
            kept = kept and result["megabytes"] <= bound
        table.add_row(
            case["scope"],
            case["mask"],
            case["way"],
            direction,
            f"{case['tokens']:,}",
            f"{result['megabytes']:,.0f}",
            f"{scaled:,.0f}" if case["tokens"] != full else "",
            f"{bound:,}" if bound else "",
            f"{result['seconds']:.1f}",
        )
        rows.append(case | result)
    Console(width=100).print(table)
    print("every bound kept:", "yes" if kept else "NO")
    bounds = {f"{scope} {direction}": mb for (scope, direction), mb in BOUNDS.items()}
    print(
        json.dumps(
            {
                "benchmark": "long_context",
                "bounds_megabytes": bounds,
                "bounds_kept": kept,
                "torch": torch.__version__,
                "cases": rows,
            }
        )
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
