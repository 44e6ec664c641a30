"""The glossary of this project: each term is explained in a sentence or two.

``glassmind help slice`` prints an entry, ``glassmind help words`` and docs/GLOSSARY.md have all of
them, and a report explains the terms that it uses.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """A word and what it means here. ``report`` says that the report of a ladder uses it;
    ``spellings`` are its other names and forms."""

    word: str
    meaning: str
    report: bool = False
    spellings: tuple[str, ...] = ()


TERMS = (
    Term(
        "any of k",
        "Whether at least one of the k sampled chains is right. This is not a method of answering, "
        "since it is not known which chain is right, but an upper bound for every method that "
        "chooses among the same chains. Often called pass@k.",
        report=True,
        spellings=("pass@k",),
    ),
    Term(
        "chain, chain of thought",
        "The steps that a model writes before its answer, and the answer (Wei et al. 2022).",
        report=True,
        spellings=("chain", "chains", "chain of thought"),
    ),
    Term(
        "checkpoint",
        "Everything that is needed to continue an interrupted training run, saved about once a "
        "minute: weights, optimizer, random numbers and the place in the data.",
        spellings=("checkpoints",),
    ),
    Term(
        "curriculum",
        "The order in which a run draws its problems: each in turn, or those more often that are "
        "solved about half of the time.",
    ),
    Term(
        "dial",
        "One number from which all others follow. For a model it is the depth, its number of "
        "layers: width, heads, learning rates, batch size and number of steps are computed from it "
        "(`train --depth`). For generated problems the dial is a set of limits that says how hard "
        "they are, such as the number of steps and the size of the numbers.",
    ),
    Term(
        "direct answer",
        "An answer without steps before it. The model for it is trained on the same problems as "
        "the chain of thought, without their steps, so the difference between the two shows what "
        "writing out the steps contributes.",
        report=True,
    ),
    Term(
        "distillation",
        "Training a model, the student, on what another one, the teacher, writes, or on how likely "
        "the teacher finds each next token.",
        spellings=("student", "teacher"),
    ),
    Term(
        "door",
        "A way to name a model that can be asked: a run's folder, a file, a Hugging Face folder, "
        "or the address of a server.",
        spellings=("doors",),
    ),
    Term(
        "draft",
        "A small model that proposes the next few tokens of a large one. The large one checks all "
        "of them in one pass, which generates text faster (speculative decoding).",
        spellings=("draft model", "speculative decoding"),
    ),
    Term(
        "greedy",
        "Always taking the likeliest next token, which is temperature 0. It gives one chain per "
        "question, the same every time.",
        report=True,
    ),
    Term(
        "interval",
        "The range in which the true accuracy lies with 95 % confidence (Wilson's interval). It is "
        "narrower the more problems were graded.",
        report=True,
        spellings=("95 % interval",),
    ),
    Term(
        "judged",
        "Tokens that a verifier read in order to score chains.",
        report=True,
    ),
    Term(
        "KV cache",
        "The keys and values of the tokens so far, which a model keeps so that it need not "
        "compute them again for each new token.",
        spellings=("cache",),
    ),
    Term(
        "ladder",
        "Several methods of answering, from the simplest to the most elaborate, measured on the "
        "same problems. `glassmind ladder` trains the models they need and prints the table.",
        report=True,
    ),
    Term(
        "method",
        "A way from a question to an answer, such as one chain, or the vote of several "
        "(`glassmind methods` lists them).",
        report=True,
        spellings=("methods",),
    ),
    Term(
        "p",
        "The probability of a difference at least this large if both methods were equally good "
        "(McNemar's test on the same problems). Below 0.05 the table calls a difference supported.",
        report=True,
        spellings=("p-value",),
    ),
    Term(
        "recipe",
        "A TOML file with every number of a run. `--set train.steps=300` changes one of them.",
        report=True,
        spellings=("recipes",),
    ),
    Term(
        "rejection sampling",
        "Sampling several chains of a problem, keeping those that are right, and training on them.",
        spellings=("expert iteration",),
    ),
    Term(
        "reward",
        "A number that says how good a sampled chain is, to learn from or to report.",
        spellings=("rewards",),
    ),
    Term(
        "run",
        "One training or one ladder, and the folder with everything that belongs to it: recipe, "
        "models, figures, report.",
        report=True,
        spellings=("runs",),
    ),
    Term(
        "rung",
        "One method in the ladder: one row of its table.",
        report=True,
        spellings=("rungs",),
    ),
    Term(
        "self-consistency",
        "The answer that most of several sampled chains reach (Wang et al. 2022).",
        report=True,
        spellings=("vote", "votes"),
    ),
    Term(
        "slice",
        "A set of test problems that is graded by itself: `test` (like the training problems), "
        "`longer` (more steps than in training), `reworded` (stories and words never trained on).",
        report=True,
        spellings=("slices",),
    ),
    Term(
        "stage",
        "A part of a run that makes one model: `direct`, `chain-of-thought`, `verifier`, or "
        "`pretrain` for a model of plain text.",
        spellings=("stages",),
    ),
    Term(
        "step",
        "In a chain, one line of reasoning. In training, one update of the weights.",
        report=True,
        spellings=("steps",),
    ),
    Term(
        "tap",
        "A named place in the model at which a tensor can be read or replaced while it runs, such "
        "as `blocks.3.attention.weights`. `glassmind.model.probe` opens it.",
        spellings=("taps", "probe"),
    ),
    Term(
        "temperature",
        "How freely tokens are sampled: 0 takes the likeliest one, 1 follows the model's own "
        "probabilities, more makes unlikely tokens likelier.",
        report=True,
    ),
    Term(
        "verifier",
        "A model that reads a chain and says how likely it is to be right, after each step and at "
        "the end. In the verifier's vote each chain counts by that probability. With "
        "`verifier.facts`, its belief is weighed against what exact checks find out about each "
        "step: a false equation, a number that is used twice or never.",
        report=True,
    ),
)


def find_term(text: str) -> Term | None:
    """The entry for a word, in any of its spellings, or ``None``."""
    asked = _plain(text)
    for term in TERMS:
        if asked in (_plain(term.word), *map(_plain, term.spellings)):
            return term
    return None


def glossary_page(terms: Sequence[Term] = TERMS) -> str:
    """All entries as a Markdown page."""
    lines = [
        "# Glossary",
        "",
        "Terms that have a special meaning in this project, or that may be new to you.",
        "`glassmind help WORD` prints an entry. This page is what `glassmind help words` prints.",
    ]
    for term in terms:
        text = f"**{term.word}**: {term.meaning}"
        lines += ["", *textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text).strip().casefold()
