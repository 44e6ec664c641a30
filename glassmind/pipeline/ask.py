"""Ask a trained model a question: its chains, their votes, the verifier's scores, the answer.

answer = ask("Mia has 3 boxes of 12 pencils. She gives 5 away. How many are left?")
answer.text, answer.votes, answer.chains
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.files import write_json
from glassmind.generate import Engine, SamplingParams, pack_model
from glassmind.reason.chains import sample_traces
from glassmind.reason.verify import score_traces
from glassmind.reason.vote import tally, verifier_weights, vote
from glassmind.records import Completion, Problem
from glassmind.runs.models import Loaded, load
from glassmind.runs.recipe import SamplingConfig
from glassmind.serialization import read_json
from glassmind.tokenize import Style, encode_prompt

WORD = re.compile(r"[^\W\d_]+")
FAMILIAR_SHARE = 0.9
LONGEST_QUESTION = 20_000  # characters: far beyond any context, short of what costs time


@dataclass(frozen=True)
class Familiarity:
    """What the training questions were like; the yardstick for warnings.

    ``words`` are all their words in lower case; ``largest`` is their largest number.
    """

    words: frozenset[str]
    largest: int

    def warning(self, question: str) -> str | None:
        """A sentence that says how ``question`` differs from the training problems, if it does."""
        words = list(dict.fromkeys(WORD.findall(question.lower())))
        if not words:
            return "this holds no words; the model was trained on short word problems"
        strange = [w for w in words if w not in self.words]
        if len(words) - len(strange) < FAMILIAR_SHARE * len(words):
            shown = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
            return (
                f"this is far from what the model was trained on: {len(strange)} of its "
                f"{len(words)} different words never occurred there ({shown}); expect a guess"
            )
        numbers = [int(n) for n in re.findall(r"\d{1,18}", question.replace(",", ""))]
        if not numbers:
            return "this holds no number; the model was trained on problems that do"
        if max(numbers) > self.largest:
            return (
                f"this is far from what the model was trained on: its numbers went up to "
                f"{self.largest}, this one holds {max(numbers)}; expect a guess"
            )
        return None


def save_familiarity(path: Path, problems: Sequence[Problem]) -> None:
    """Write what ``Familiarity`` needs about the training ``problems``."""
    words = sorted({w for p in problems for w in WORD.findall(p.question.lower())})
    largest = max(
        (int(n) for p in problems for n in re.findall(r"\d{1,18}", p.question)), default=0
    )
    write_json(path, {"largest": largest, "words": words})


def load_familiarity(path: Path) -> Familiarity | None:
    """Read it back; ``None`` where a run has none."""
    if not path.is_file():
        return None
    facts = read_json(path)
    if not isinstance(facts, dict) or not isinstance(facts.get("words"), list):
        raise UserError(f"{path} must hold an object with words and largest")
    return Familiarity(frozenset(map(str, facts["words"])), int(facts.get("largest", 0)))


@dataclass(frozen=True)
class Answer:
    """What the model answered.

    ``votes`` maps every candidate to its number of chains, ``weighted`` to its share of the
    verifier's votes (empty without a verifier); ``text`` is the winner, ``None`` if no chain
    reached a number. ``warning`` says if the question is unlike the training problems.
    """

    question: str
    text: str | None
    chains: tuple[Completion, ...]
    votes: dict[str, int]
    weighted: dict[str, float]
    warning: str | None

    @property
    def best(self) -> Completion | None:
        """The chain to show: of those that gave the answer, the best scored (else likeliest)."""
        agreeing = [c for c in self.chains if vote([c]) == self.text and self.text is not None]
        return max(agreeing, key=lambda c: (c.score or 0.0, c.logprob), default=None)


def ask(
    questions: str | Sequence[str],
    model: Loaded | str | Path | None = None,
    *,
    sampling: SamplingConfig | None = None,
    seed: int = 0,
) -> Answer | list[Answer]:
    """Answer one question, or several as one batch.

    ``model`` is what ``load`` returned, a run's folder, or ``None`` for the model that comes with
    the package; ``sampling`` replaces the run's own.

    Raises:
        UserError: there is no such model, or a question is empty or too long for it.
    """
    several = [questions] if isinstance(questions, str) else list(questions)
    loaded = model if isinstance(model, Loaded) else load(model) if model else load()
    for question in several:
        if not question.strip():
            raise UserError("the question is empty: ask something like 'Mia has 3 boxes of ...'")
        if len(question) > LONGEST_QUESTION:
            raise UserError(
                f"the question has {len(question)} characters; at most {LONGEST_QUESTION} are read"
            )
    problems = [Problem(str(n), _tidy(q), "") for n, q in enumerate(several)]
    config = sampling or loaded.recipe.sampling
    params = SamplingParams.of(config, seed=seed)
    engine = Engine(pack_model(loaded.model), max_rows=config.max_rows)
    style: Style = "direct" if loaded.stage == "base" else "chain"
    limit = loaded.model.config.max_tokens
    for problem in problems:
        length = len(encode_prompt(loaded.tokenizer, problem.question, style))
        if length >= limit:
            raise UserError(
                f"the question {problem.question[:60]!r}... has {length} tokens and the model "
                f"reads at most {limit}, its answer included: shorten it"
            )
    traces = sample_traces(engine, loaded.tokenizer, problems, params, style)
    if loaded.verifier is not None and style == "chain":
        traces = score_traces(loaded.verifier, loaded.tokenizer, problems, traces)
    familiarity = load_familiarity(loaded.run.path / "familiarity.json")
    answers = []
    for question, trace in zip(several, traces, strict=True):
        warning = familiarity.warning(question) if familiarity else None
        answers.append(conclude(question, trace.completions, warning))
    return answers[0] if isinstance(questions, str) else answers


def _tidy(question: str) -> str:
    """White space as in the training problems: single spaces, none at the ends."""
    return " ".join(question.split())


def conclude(question: str, row: Sequence[Completion], warning: str | None) -> Answer:
    """What a question's chains vote for, by the verifier's scores where they have any."""
    weighted: dict[str, float] = {}
    if row[0].score is not None:
        weights = tally(row, verifier_weights(row))
        total = sum(weights.values())
        weighted = {key: weight / total for key, weight in weights.items()}
    votes = {key: int(count) for key, count in tally(row).items()}
    text = next(iter(weighted or votes), None)
    return Answer(question, text, tuple(row), votes, weighted, warning)
