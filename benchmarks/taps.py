"""Unused taps cost nothing: the compiled graph and the results are identical without them.

    python benchmarks/taps.py

Builds the demo's model twice from one seed, once unchanged and once with every tap removed
(replaced by a function that returns its argument), captures the graph that `torch.compile` sees,
compares the two operation by operation, trains both compiled for some steps and compares them bit
for bit, and times a step of each in turn. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from torch import Tensor, nn

from glassmind.model import Tap, Transformer
from glassmind.runs.recipe import read_recipe


class Nothing(nn.Module):
    """The replacement of a removed tap."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def without_taps(model: Transformer) -> Transformer:
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Tap):
                setattr(module, name, Nothing())
                if name == "weights":  # attention checks whether this tap is read
                    getattr(module, name).watched = False
    return model


def graph(model: Transformer, ids: Tensor) -> list[str]:
    """Every operation of the captured graph, in order."""
    seen: list[str] = []

    def backend(module: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        seen.extend(
            f"{n.op} {n.target}"
            for n in module.graph.nodes
            if n.op not in ("placeholder", "output")
        )
        return module.forward

    torch._dynamo.reset()
    torch.compile(model, backend=backend, fullgraph=True)(ids)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    recipe = read_recipe("demo")
    config = type(recipe.model)(**{**recipe.model.__dict__, "vocab_size": 1024})
    ids = torch.randint(0, 1024, (16, 192), generator=torch.Generator().manual_seed(0))

    def build(taps: bool) -> Transformer:
        torch.manual_seed(0)
        model = Transformer(config)
        return model if taps else without_taps(model)

    graphs = {taps: graph(build(taps), ids) for taps in (True, False)}
    losses: dict[bool, list[float]] = {True: [], False: []}
    times: dict[bool, list[float]] = {True: [], False: []}
    torch._dynamo.reset()
    models = {taps: build(taps) for taps in (True, False)}
    compiled = {taps: torch.compile(model) for taps, model in models.items()}
    steppers = {taps: torch.optim.AdamW(m.parameters(), lr=1e-3) for taps, m in models.items()}
    for _ in range(args.steps):
        for taps in (True, False):
            started = time.perf_counter()
            logits = compiled[taps](ids)
            loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
            loss.backward()
            steppers[taps].step()
            steppers[taps].zero_grad()
            times[taps].append(time.perf_counter() - started)
            losses[taps].append(loss.item())
    ms = {taps: 1000 * statistics.median(values[2:]) for taps, values in times.items()}
    same_graph, same_bits = graphs[True] == graphs[False], losses[True] == losses[False]
    print(f"operations in the graph: {len(graphs[True])} with taps, {len(graphs[False])} without")
    print(f"graphs identical: {same_graph}; losses of {args.steps} steps identical: {same_bits}")
    print(f"median step: {ms[True]:.1f} ms with taps, {ms[False]:.1f} ms without")
    result = {
        "benchmark": "taps",
        "operations": len(graphs[True]),
        "same_graph": same_graph,
        "same_losses": same_bits,
        "step_ratio": round(ms[True] / ms[False], 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
