"""Grade a model by the probability of texts: multiple choice, and perplexity.

Both need the weights; a server's address is refused, because few servers give the log-probabilities
of a prompt.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from glassmind.errors import UserError
from glassmind.evaluate.graded_problems import GradedProblem, MethodAnswer
from glassmind.evaluate.provenance import Provenance
from glassmind.evaluate.run_files import SCHEMA, Comparison, Ladder, LadderRow
from glassmind.evaluate.text_result import DocumentResult, TextResult, words_of
from glassmind.llm import LLM, LocalLLM, Source, as_llm
from glassmind.llm.log_likelihood import (
    Likelihood,
    first_token,
    likelihoods,
    rolling_pairs,
    split_tokens,
)
from glassmind.pipeline.fingerprint import model_hash, task_hash
from glassmind.pipeline.tasks.prompts import shipped_prompt
from glassmind.pipeline.tasks.registry import require_task
from glassmind.pipeline.tasks.task import ChoiceItem, ChoiceTask, TextTask, Wanted
from glassmind.progress import Progress, Silent, watched
from glassmind.runs.models import shipped_run
from glassmind.statistics import mcnemar_exact, paired_counts, wilson_interval

WHOLE, PER_CHARACTER = "log-likelihood", "per-character"
"""The two ways to choose: the likeliest continuation, and the likeliest for its length (lm-eval's
``acc`` and ``acc_norm``)."""


def grade_choices(
    task: ChoiceTask,
    name: str,
    wanted: Wanted,
    llm: LLM,
    seed: int,
    progress: Progress | None,
) -> tuple[Ladder, tuple[GradedProblem, ...]]:
    """The table and every question of a task of multiple choice."""
    local = _with_weights(llm, name)
    items = list(task.load(wanted)[: wanted.limit or None])
    began = time.perf_counter()
    found = _choice_likelihoods(local, items, name, progress or Silent())
    seconds = (time.perf_counter() - began) / len(items)
    chosen = {
        WHOLE: [_best([one.logprob for one in row]) for row in found],
        PER_CHARACTER: [
            _best(
                [o.logprob / len(c.strip()) for o, c in zip(row, item.continuations, strict=True)]
            )
            for row, item in zip(found, items, strict=True)
        ],
    }
    right = {
        way: [pick == item.right for pick, item in zip(picks, items, strict=True)]
        for way, picks in chosen.items()
    }
    gained, lost = paired_counts(right[WHOLE], right[PER_CHARACTER])
    against = Comparison(WHOLE, mcnemar_exact(gained, lost), gained, lost)
    rows = (
        _row(WHOLE, name, right[WHOLE], seconds, None),
        _row(PER_CHARACTER, name, right[PER_CHARACTER], seconds, against),
    )
    problems = tuple(
        GradedProblem(
            item.id,
            item.text,
            item.continuations[item.right].strip(),
            llm.name,
            tuple(
                MethodAnswer(
                    way,
                    item.continuations[chosen[way][number]].strip(),
                    right[way][number],
                )
                for way in chosen
            ),
        )
        for number, item in enumerate(items)
    )
    texts = [f"{item.text}\n{item.continuations}\n{item.right}" for item in items]
    made_of = _provenance(local, name, texts, task.prompt)
    return Ladder(SCHEMA, llm.name, "", seed, rows, provenance=made_of), problems


def measure_text(
    task: str, model: Source = None, *, limit: int = 0, progress: Progress | None = None
) -> TextResult:
    """The probability of the documents of a task such as ``perplexity:FILE``; of at most ``limit``
    of them, if that is not 0.

    Every token is predicted once, from as many tokens before it as the context holds
    (``rolling_pairs``).

    Raises:
        UserError: there is no such task or model, the model is an address, or has no token with
            which a text begins.
    """
    chosen, argument = require_task(task)
    if not isinstance(chosen, TextTask):
        raise UserError(f"the task {task} does not measure the probability of a text")
    llm = _with_weights(as_llm(model), task)
    begins_with = first_token(llm)
    wanted = Wanted(llm.recipe or shipped_run().recipe(), argument, limit)
    texts = list(chosen.load(wanted))[: limit or None]
    documents = []
    with watched(progress or Silent(), f"reading {task}", len(texts), "documents") as watch:
        for number, item in enumerate(texts):
            tokens = llm.tokenizer.encode(item.text)
            scored = likelihoods(llm, rolling_pairs(tokens, begins_with, llm.context))
            documents.append(
                DocumentResult(
                    document=number,
                    logprob=sum(one.logprob for one in scored),
                    tokens=len(tokens),
                    words=words_of(item.counted),
                    bytes=len(item.counted.encode("utf-8")),
                )
            )
            watch(number + 1, len(texts))
    made_of = _provenance(llm, task, [item.text for item in texts], "")
    return TextResult(made_of, tuple(documents))


def _choice_likelihoods(
    llm: LocalLLM, items: Sequence[ChoiceItem], name: str, progress: Progress
) -> list[list[Likelihood]]:
    pairs = [split_tokens(llm, item.text, c) for item in items for c in item.continuations]
    with watched(progress, f"reading {name}", len(pairs), "choices") as watch:
        flat = iter(likelihoods(llm, pairs, watch))
    return [[next(flat) for _ in item.continuations] for item in items]


def _best(values: Sequence[float]) -> int:
    """The number of the largest value; among equals the first, as NumPy's argmax takes it."""
    return max(range(len(values)), key=lambda number: (values[number], -number))


def _row(
    way: str, name: str, right: Sequence[bool], seconds: float, against: Comparison | None
) -> LadderRow:
    n, correct = len(right), sum(right)
    low, high = wilson_interval(correct, n)
    return LadderRow(
        rung=way,
        slice=name,
        n=n,
        correct=correct,
        accuracy=correct / n,
        ci_low=low,
        ci_high=high,
        completion_tokens=0.0,
        seconds=seconds,
        against=None if against is None else against.against,
        p_value=None if against is None else against.p_value,
        comparisons=() if against is None else (against,),
    )


def _provenance(llm: LocalLLM, task: str, texts: Sequence[str], prompt: str) -> Provenance:
    return Provenance(
        model=llm.name,
        model_hash=model_hash(llm),
        task=task,
        task_hash=task_hash(texts),
        problems=len(texts),
        prompt=prompt,
        prompt_hash=shipped_prompt(prompt).sha256 if prompt else "",
        shots=0,
        samples=0,
        temperature=0.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=0,
        calculator="off",
        seed=0,
    )


def _with_weights(llm: LLM, task: str) -> LocalLLM:
    if not isinstance(llm, LocalLLM):
        raise UserError(
            f"{task} is measured by probabilities, which needs the weights: give a model of this "
            "machine, not an address"
        )
    return llm
