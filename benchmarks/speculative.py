"""Speculative decoding: how much time it saves, and that it does not change the output.

    python benchmarks/speculative.py                          # SmolLM2 and the shipped model
    python benchmarks/speculative.py --gguf model.gguf --draft smaller.gguf
    python benchmarks/speculative.py --skip-large --samples 20000

- **quote**: a chat model (``--gguf``) repeats a text word for word, alone in the batch: without
  guesses, with look-up, and with two drafts: its own weights rounded to 4 bits, and ``--draft``.
  Without ``--draft``, the second draft is the first ``--exit-layers`` of its own layers
  (self-speculation by early exit, without training).
- **sums**: the model that comes with the package answers word problems, one at a time and 32 at
  once, greedily and at temperature 0.8. Its draft is its own first layer, trained for
  ``--teach-steps`` steps to predict the distributions of the whole model on that model's own
  answers (Zhou et al. 2023, arXiv 2310.08461). The problems measured are not trained on.
- **distribution**: ``--samples`` continuations of four tokens, sampled with a random model and an
  unrelated random draft, against the model's exact probabilities: chi-square of the second token,
  of the next two, and of all four.

tokens/pass counts passes of the large model and tokens of one sample; "stood" is the share of
guesses that were accepted. The sides take turns, and the fastest of ``--rounds`` counts. "same"
says whether the greedy tokens equal those without guesses. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from glassmind.generate import Engine, Request, Sampler, SamplingParams
from glassmind.generate.model_runner import LanguageModel
from glassmind.generate.packed.model import pack_model
from glassmind.llm.opening import open_local
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.pipeline.evaluate import task_problems
from glassmind.runs.models import Loaded, load
from glassmind.tokenize import encode_prompt

QUOTE = """\
Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing \
to do: once or twice she had peeped into the book her sister was reading, but it had no pictures \
or conversations in it, "and what is the use of a book," thought Alice, "without pictures or \
conversations?" So she was considering in her own mind (as well as she could, for the hot day made \
her feel very sleepy and stupid), whether the pleasure of making a daisy-chain would be worth the \
trouble of getting up and picking the daisies."""


@dataclass
class Side:
    """One way to answer the same requests, and its best measurement."""

    name: str
    model: Transformer
    requests: Sequence[Request]
    draft: LanguageModel | None = None
    draft_tokens: int = 4
    tokens_per_second: float = 0.0
    tokens_per_pass: float = 0.0
    stood: float | None = None
    answers: list[tuple[int, ...]] | None = None

    def run(self) -> None:
        engine = Engine(self.model, draft=self.draft, draft_tokens=self.draft_tokens)
        passes = 0  # of every sample: those that it took part in
        started = time.perf_counter()
        tickets = [engine.submit(request) for request in self.requests]
        done: dict[int, tuple[int, ...]] = {}
        while engine.busy:
            passes += engine.n_running or len(tickets)
            for event in engine.step():
                if event.done is not None:
                    done[event.ticket] = event.done.token_ids
        seconds = time.perf_counter() - started
        self.answers = [done[ticket] for ticket in tickets]
        tokens = sum(map(len, self.answers))
        self.tokens_per_second = max(self.tokens_per_second, tokens / seconds)
        self.tokens_per_pass = tokens / passes
        self.stood = engine.accepted / engine.guessed if engine.guessed else None


def first_layers(model: Transformer, n_layers: int) -> Transformer:
    """A model's first layers as a model, with its embedding, last norm and head."""
    cut = Transformer(replace(model.config, n_layers=n_layers)).to(model.embed.weight.dtype)
    names = cut.state_dict().keys()
    cut.load_state_dict({n: w for n, w in model.state_dict().items() if n in names})
    return cut.eval()


def taught(loaded: Loaded, steps: int) -> Transformer:
    """The shipped model's first layer, trained to predict the whole model's output."""
    target, prompts = loaded.model, prompts_of(loaded, "validation", 512)
    settings = sums_settings(loaded, 0.8)
    requests = [Request(p, replace(settings, seed=i)) for i, p in enumerate(prompts)]
    texts = [
        (*request.prompt_ids, *generations[0].token_ids)
        for request, generations in zip(requests, Engine(target).generate(requests), strict=True)
    ]
    draft = first_layers(target, 1).train()
    optimizer = torch.optim.AdamW(draft.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = [texts[i] for i in torch.randint(len(texts), (16,), generator=generator).tolist()]
        ids_BT = nn.utils.rnn.pad_sequence([torch.tensor(text) for text in chosen], True)
        real_BT = torch.arange(ids_BT.shape[1]) < torch.tensor([[len(text)] for text in chosen])
        with torch.no_grad():
            wanted = target(ids_BT)[real_BT].softmax(1)
        loss = nn.functional.cross_entropy(draft(ids_BT)[real_BT], wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return draft.eval()


def prompts_of(loaded: Loaded, task: str, count: int) -> list[tuple[int, ...]]:
    problems = task_problems(task, loaded.recipe, count)
    return [tuple(encode_prompt(loaded.tokenizer, p.question, "chain")) for p in problems]


def sums_settings(loaded: Loaded, temperature: float) -> SamplingParams:
    stop = frozenset({loaded.tokenizer.special["<|end|>"]})
    most = loaded.recipe.sampling.max_new_tokens
    return SamplingParams(most, temperature=temperature, stop=stop)


def sums(args: argparse.Namespace) -> dict[str, list[Side]]:
    loaded = load()
    draft = taught(loaded, args.teach_steps)
    jobs = {}
    for count, temperature in itertools.product((1, 32), (0.0, 0.8)):
        settings = sums_settings(loaded, temperature)
        prompts = prompts_of(loaded, "test", count if count > 1 else args.problems)
        requests = [Request(p, replace(settings, seed=i)) for i, p in enumerate(prompts)]
        groups = [requests] if count > 1 else [[request] for request in requests]
        name = f"sums, {count} at once, temperature {temperature:g}"
        jobs[name] = in_turns(
            [
                [
                    Side("no guesses", loaded.model, group),
                    Side("look-up 4", loaded.model, looked_up(group, 4)),
                    Side("taught first layer, 2", loaded.model, group, draft, 2),
                    Side("taught first layer, 4", loaded.model, group, draft, 4),
                    Side(
                        "untaught first layer", loaded.model, group, first_layers(loaded.model, 1)
                    ),
                ]
                for group in groups
            ],
            args.rounds,
        )
    return jobs


def quote(args: argparse.Namespace) -> dict[str, list[Side]]:
    served = open_local(args.gguf)
    said = f"Repeat this text word for word:\n\n{QUOTE}"
    prompt = tuple(served.chat_prompt([{"role": "user", "content": said}]))
    settings = SamplingParams(args.tokens, temperature=0.0, stop=served.stop_ids)
    requests = [Request(prompt, settings)]
    model = served.model
    if args.draft:
        name, draft = args.draft, open_local(args.draft).model
    else:
        n_layers = args.exit_layers or model.config.n_layers // 2
        name = f"first {n_layers} of {model.config.n_layers} layers"
        draft = first_layers(model, n_layers)
    sides = [
        Side("no guesses", model, requests),
        Side("look-up 4", model, looked_up(requests, 4)),
        Side("look-up 10", model, looked_up(requests, 10)),
        Side("its weights in 4 bits", model, requests, pack_model(model, "int4")),
        Side(name, model, requests, draft),
    ]
    return {"quote, 1 at once, temperature 0": in_turns([sides], args.rounds)}


def looked_up(requests: Sequence[Request], guesses: int) -> list[Request]:
    return [Request(r.prompt_ids, replace(r.params, lookup=guesses)) for r in requests]


def in_turns(groups: list[list[Side]], rounds: int) -> list[Side]:
    """Run every side of every group; the groups' figures weighed by their tokens."""
    for _ in range(rounds):
        for sides in groups:
            for side in sides:
                side.run()
    return [together(list(same)) for same in zip(*groups, strict=True)]


def together(sides: list[Side]) -> Side:
    answers = [answer for side in sides for answer in side.answers or []]
    tokens = sum(map(len, answers))
    sizes = [sum(map(len, side.answers or [])) for side in sides]
    passes = sum(n / side.tokens_per_pass for n, side in zip(sizes, sides, strict=True))
    seconds = sum(n / side.tokens_per_second for n, side in zip(sizes, sides, strict=True))
    shares = [side.stood for side in sides if side.stood is not None]
    whole = replace(sides[0], answers=answers)
    whole.tokens_per_second, whole.tokens_per_pass = tokens / seconds, tokens / passes
    whole.stood = sum(shares) / len(shares) if shares else None
    return whole


def random_model(seed: int, vocab: int) -> Transformer:
    torch.manual_seed(seed)
    config = ModelConfig(
        vocab_size=vocab,
        max_tokens=32,
        d_model=16,
        n_layers=1,
        attention=AttentionConfig(n_heads=2),
    )
    model = Transformer(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def distribution(samples: int) -> list[dict[str, Any]]:
    """Chi-square with its degrees of freedom, for two settings and three choices of tokens."""
    vocab, prompt = 5, (1, 2)
    model, draft = random_model(1, vocab), random_model(2, vocab)
    every = list(itertools.product(range(vocab), repeat=4))
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *four[:3]] for four in every]))[:, 1:]
    flat = logits.reshape(-1, vocab)
    found = []
    for params in (SamplingParams(4), SamplingParams(4, temperature=0.7, top_k=3)):
        sampler = Sampler([params] * len(flat), [0] * len(flat), torch.device("cpu"))
        p = sampler.distribution(flat).view(len(every), 4, vocab)
        chances = p.gather(2, torch.tensor(every)[:, :, None])[:, :, 0].double().prod(1).tolist()
        engine = Engine(model, draft=draft, draft_tokens=2)
        requests = [
            Request(prompt, replace(params, samples=min(1000, samples - first), seed=first))
            for first in range(0, samples, 1000)
        ]
        drawn = [g.token_ids for answer in engine.generate(requests) for g in answer]
        for of in (slice(1, 2), slice(1, 3), slice(0, 4)):
            exact: dict[tuple[int, ...], float] = {}
            for four, chance in zip(every, chances, strict=True):
                exact[four[of]] = exact.get(four[of], 0.0) + chance * len(drawn)
            counts = dict.fromkeys(exact, 0)
            for tokens in drawn:
                counts[tokens[of]] += 1
            often = [key for key, expected in exact.items() if expected >= 5]
            pairs: list[tuple[float, float]] = [(counts[key], exact[key]) for key in often]
            rare = len(drawn) - sum(exact[key] for key in often)
            if rare > 1e-6 * len(drawn):
                pairs.append((len(drawn) - sum(counts[key] for key in often), rare))
            found.append(
                {
                    "temperature": params.temperature,
                    "top_k": params.top_k,
                    "tokens": f"{of.start + 1} to {of.stop}",
                    "samples": len(drawn),
                    "stood": round(engine.accepted / engine.guessed, 3),
                    "chi_square": round(sum((o - e) ** 2 / e for o, e in pairs), 1),
                    "freedom": len(pairs) - 1,
                    "p_value": round(
                        tail(sum((o - e) ** 2 / e for o, e in pairs), len(pairs) - 1), 4
                    ),
                    "impossible": sum(n for key, n in counts.items() if exact[key] == 0),
                }
            )
    return found


def tail(chi_square: float, freedom: int) -> float:
    """The p-value: how often chance alone gives a value this large."""
    half = torch.tensor([freedom / 2, chi_square / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--gguf", default="smollm2", help="a GGUF file, a folder, or smollm2")
    parser.add_argument("--draft", help="a smaller model with the same tokenizer")
    parser.add_argument("--exit-layers", type=int, default=0, help="default: half of the layers")
    parser.add_argument("--skip-large", action="store_true", help="skip the model of --gguf")
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--problems", type=int, default=16)
    parser.add_argument("--teach-steps", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    jobs = sums(args) if args.skip_large else {**quote(args), **sums(args)}
    rows = []
    for job, sides in jobs.items():
        table = Table("guesses", "tokens/pass", "stood", "tokens/s", "ratio", "same", title=job)
        for side in sides:
            ratio = side.tokens_per_second / sides[0].tokens_per_second
            greedy = side.requests[0].params.temperature == 0
            same = side.answers == sides[0].answers if greedy else None
            row = {
                "job": job,
                "guesses": side.name,
                "tokens_per_pass": round(side.tokens_per_pass, 2),
                "stood": None if side.stood is None else round(side.stood, 3),
                "tokens_per_second": round(side.tokens_per_second, 1),
                "ratio": round(ratio, 2),
                "same": same,
            }
            rows.append(row)
            table.add_row(*("" if value is None else str(value) for value in [*row.values()][1:]))
        Console().print(table)
    checks = distribution(args.samples)
    table = Table(*checks[0], title="sampled with a draft, against the exact distribution")
    for check in checks:
        table.add_row(*map(str, check.values()))
    Console().print(table)
    told = {"benchmark": "speculative", **vars(args), "jobs": rows, "distribution": checks}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
