"""The time to give a packed model new weights, compared with packing it from scratch.

    python benchmarks/refresh.py                    # the shipped model
    python benchmarks/refresh.py smollm2            # a name, a .gguf file or a folder

Reinforcement learning samples with weights that change at every step. ``PackedModel.refresh``
writes them over the old ones; packing from scratch also allocates, and builds the structures that
the compiled pass reads. Both are timed in turn, in processor time of one thread; the fastest of
``--repeats`` counts, and the refreshed model must generate the same tokens as one packed anew. The
claim is at most 10 ms for the shipped model as float32.

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from glassmind.generate import KINDS, Engine, PackedModel, Request, SamplingParams, pack_model
from glassmind.interop.load import is_pretrained, load_pretrained
from glassmind.model import Transformer
from glassmind.runs.models import SHIPPED, load


def seconds(what: Callable[[], object]) -> float:
    started = time.thread_time()
    what()
    return time.thread_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="default: the shipped model")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_pretrained(args.model).model if is_pretrained(args.model) else None
    if model is None:
        loaded = load(args.model or SHIPPED).model
        assert isinstance(loaded, Transformer)
        model = loaded
    model = model.eval().float()
    trained = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(1.01)
    request = [Request(tuple(range(5, 25)), SamplingParams(20, seed=1))]
    table = Table("weights", "packed anew, ms", "refreshed, ms", "ratio")
    rows = []
    for kind in KINDS:
        packed = pack_model(model, kind)
        assert isinstance(packed, PackedModel), "this model cannot be packed"
        anew, refreshed = [], []
        for repeat in range(args.repeats):
            weights = (model, trained)[repeat % 2]
            anew.append(seconds(lambda: pack_model(weights, kind)))  # noqa: B023
            refreshed.append(seconds(lambda: packed.refresh(weights)))  # noqa: B023
        [[one]] = Engine(packed).generate(request)
        [[two]] = Engine(pack_model(weights, kind)).generate(request)
        assert one == two
        slow, fast = 1000 * min(anew), 1000 * min(refreshed)
        table.add_row(kind, f"{slow:.1f}", f"{fast:.1f}", f"{slow / fast:.1f}")
        rows.append({"weights": kind, "pack_ms": slow, "refresh_ms": fast, "ratio": slow / fast})
    Console().print(table)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"benchmark": "refresh", "model": args.model, "parameters": count,
                      "threads": torch.get_num_threads(), "rows": rows}))  # fmt: skip


if __name__ == "__main__":
    main()
