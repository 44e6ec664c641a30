"""The same model, prompts and files through lm-eval and through ``glassmind eval``.

    python benchmarks/lm_eval_agreement.py --lm-eval VENV/bin/python --model smollm2 --problems 12
    python benchmarks/lm_eval_agreement.py --lm-eval VENV/bin/python           a tiny random model

lm-eval is not a dependency of this project: VENV is another environment with ``lm-eval``, torch and
transformers. The model is written as a folder of Hugging Face, which both sides read in 32 bits.
Four tasks: a GSM8K-style generation (zero-shot, greedy, graded by the last number: lm-eval's
flexible-extract), choices by likelihood, MMLU's letters, and the rolling perplexity of texts. The
problems are generated (the validation split, one step each, with wrong numbers as choices), and no
file of a benchmark is needed.

Compared are the figures, every generated text, and every log-likelihood. The last line is one JSON
object; the exit code is 1 if a figure differs.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from glassmind.data import ProblemDial, data_file, generate
from glassmind.data.pretraining.wikitext import joined_again, wikitext_articles
from glassmind.evaluate.autopsy import regraded
from glassmind.evaluate.graders import GRADERS, reply_of
from glassmind.interop.huggingface.folder import save_folder
from glassmind.interop.pretrained import Pretrained
from glassmind.llm import LocalLLM, PromptFormat, open_llm
from glassmind.llm.log_likelihood import likelihoods, split_tokens
from glassmind.model import AttentionConfig, FeedForwardConfig, ModelConfig, Transformer
from glassmind.pipeline.convert import convert
from glassmind.pipeline.evaluate import grade_task
from glassmind.pipeline.likelihood_tasks import measure_text
from glassmind.pipeline.tasks.prompts import shipped_prompt
from glassmind.pipeline.tasks.registry import require_task
from glassmind.pipeline.tasks.task import ChoiceTask, Wanted
from glassmind.runs.models import shipped_run
from glassmind.runs.recipe import SamplingConfig
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

SIDE = Path(__file__).with_name("lm_eval_side.py")
CLOSE = 1e-3  # nats: two implementations of one forward pass in 32 bits


def write_files(folder: Path, problems: int, text_bytes: int) -> None:
    """The files of the four tasks."""
    rng = random.Random(0)
    made = generate(ProblemDial(1, 1), problems, split="validation", seed=0)
    rows = []
    for problem in made:
        right = int(problem.answer)
        wrong = rng.sample([n for n in range(max(1, right - 9), right + 10) if n != right], 3)
        choices = [str(n) for n in (right, *wrong)]
        rng.shuffle(choices)
        row: dict[str, Any] = {"question": problem.question, "choices": choices}
        rows.append({**row, "answer": choices.index(problem.answer)})
    write(folder / "gsm.jsonl", [{"question": p.question, "answer": p.answer} for p in made])
    write(folder / "choices.jsonl", rows)
    write(folder / "mmlu.jsonl", rows)
    articles = wikitext_articles(data_file("text/wikitext2_valid.txt").read_text("utf-8"))
    texts = [joined_again(article)[:text_bytes] for article in articles[:3]]
    write(folder / "text.jsonl", [{"text": text} for text in texts])


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def write_model(name: str, folder: Path) -> LocalLLM:
    """The model as a folder of Hugging Face, and read from there, to continue texts."""
    if name:
        convert(name, folder)
    else:
        tiny_model(folder)
    for template in (folder / "chat_template.jinja", folder / "chat_template.json"):
        template.unlink(missing_ok=True)
    llm = open_llm(folder)
    assert isinstance(llm, LocalLLM)
    return replace(llm, format="text", template=None)


def tiny_model(folder: Path) -> None:
    """A random model with SmolLM2's tokenizer, in its family."""
    source = open_llm("smollm2")
    assert isinstance(source, LocalLLM)
    torch.manual_seed(0)
    kept = source.model.config
    config = ModelConfig(
        kept.vocab_size,
        max_tokens=256,
        d_model=64,
        n_layers=2,
        attention=AttentionConfig(n_heads=4, n_kv_heads=2, qk_norm=False),
        feed_forward=FeedForwardConfig("swiglu", d_hidden=128),
        positions=kept.positions,
        tie_embeddings=kept.tie_embeddings,
        norm=kept.norm,
    )
    assert isinstance(source.tokenizer, ComposedTokenizer)
    tiny = Pretrained(
        Transformer(config), source.tokenizer, None, source.stop_ids, None, "tiny", folder
    )
    save_folder(tiny, folder)


def theirs(python: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [python, str(SIDE), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"lm-eval failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def choice_logprobs(llm: LocalLLM, task: str) -> list[list[float]]:
    """Our log-likelihood of every choice of a task."""
    chosen, argument = require_task(task)
    assert isinstance(chosen, ChoiceTask)
    items = chosen.load(Wanted(shipped_run().recipe(), argument))
    pairs = [split_tokens(llm, item.text, c) for item in items for c in item.continuations]
    flat = iter(likelihoods(llm, pairs))
    return [[next(flat).logprob for _ in item.continuations] for item in items]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lm-eval", required=True, metavar="PYTHON")
    parser.add_argument("--model", default="", help="a name or folder; default: a tiny random one")
    parser.add_argument("--problems", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=64, help="the most tokens of a reply")
    parser.add_argument("--text-bytes", type=int, default=6_000, help="of each of three articles")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, args.problems, args.text_bytes)
        options = {"tokens": args.tokens, "batch": 1}
        (folder / "options.json").write_text(json.dumps(options))
        llm = write_model(args.model, folder / "model")
        other = theirs(args.lm_eval, folder)

        prompted = llm.with_prompts(PromptFormat(shipped_prompt("question-answer-1").text))
        sampling = SamplingConfig(samples=1, max_new_tokens=args.tokens)
        graded = grade_task(
            str(folder / "gsm.jsonl"), prompted, methods=["chain-of-thought"], sampling=sampling
        )
        again = regraded(graded.problems, GRADERS["last-number"])
        rows: list[tuple[str, float, float]] = []
        results = other["results"]
        rows.append(
            (
                "gsm exact match",
                sum(p.answers[0].correct for p in again) / len(again),
                results["gsm"]["exact_match,flexible-extract"],
            )
        )
        same_texts = sum(
            reply_of(p.answers[0]).split() == text[0][0].split()
            for p, text in zip(graded.problems, other["replies"]["gsm"], strict=True)
        )
        differences = []
        for task in ("choices", "mmlu"):
            file = f"{task}:{folder / task}.jsonl"
            ladder = grade_task(file, llm).ladder
            rows.append((f"{task} acc", ladder.rows[0].accuracy, results[task]["acc,none"]))
            if task == "choices":
                their_norm = results[task]["acc_norm,none"]
                rows.append(("choices acc_norm", ladder.rows[1].accuracy, their_norm))
            ours = choice_logprobs(llm, file)
            for mine, samples in zip(ours, other["replies"][task], strict=True):
                for value, sample in zip(mine, samples, strict=True):
                    differences.append(abs(value - float(sample[0][0])))
        text = measure_text(f"perplexity:{folder / 'text.jsonl'}", llm).figures()
        for figure in ("word_perplexity", "byte_perplexity", "bits_per_byte"):
            rows.append((figure, text[figure], results["text"][f"{figure},none"]))

    agree = [abs(mine - their) <= 1e-4 * max(1.0, abs(their)) for _, mine, their in rows]
    table = Table("figure", "Glassmind", f"lm-eval {other['version']}", "same")
    for (figure, mine, their), same in zip(rows, agree, strict=True):
        table.add_row(figure, f"{mine:.6f}", f"{their:.6f}", "yes" if same else "NO")
    console = Console()
    console.print(table)
    largest = max(differences)
    console.print(
        f"generated texts that are the same: {same_texts} of {args.problems}; largest difference "
        f"of {len(differences)} log-likelihoods: {largest:.2e} nats"
    )
    record = {
        "model": args.model or "tiny",
        "lm_eval": other["version"],
        "problems": args.problems,
        "figures": {figure: [mine, their] for figure, mine, their in rows},
        "same_texts": same_texts,
        "largest_logprob_difference": largest,
    }
    print(json.dumps(record))
    sys.exit(0 if all(agree) and largest < CLOSE else 1)


if __name__ == "__main__":
    main()
