"""Two questions whose completions can all be written down, and a policy that answers them.

A completion is made of ``a`` and ``b`` and ended by ``.``; after three tokens it is cut off. That
makes 15 completions of each question:

    .   a.   b.   aa.   ab.   ba.   bb.   and the eight without an end, aaa to bbb

The easy question is answered by anything with an ``a`` in it, the hard one only by ``ba.`` and
``bb.``. A second reward is for coming to an end in time. The policy is a small ``Transformer`` in
float64 with random weights, which answers both questions with the same parameters, so that what is
learned from one changes the other, as in a real model.

Everything that an estimator's gradient can depend on is a number of a *choice*: a question, what
was written so far, and the next token. There are 42 of them, and a completion is one to three.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassmind.model import AttentionConfig, ModelConfig, Transformer

SIGNS = ".ab"  # the tokens, in the order of their ids; 0 is the end
LONGEST = 3
QUESTIONS = ("easy", "hard")
REWARDS = ("right", "ended")

_LETTERS = range(1, len(SIGNS))

Floats = NDArray[np.float64]
Completion = tuple[int, ...]


def completions() -> list[Completion]:
    """All completions, shorter ones first."""
    ended = [
        (*letters, 0) for length in range(LONGEST) for letters in product(_LETTERS, repeat=length)
    ]
    return [*ended, *product(_LETTERS, repeat=LONGEST)]


def text(completion: Completion) -> str:
    return "".join(SIGNS[token] for token in completion)


def rewards_of(question: str, completion: Completion) -> tuple[float, ...]:
    """The rewards of a completion, in the order of ``REWARDS``."""
    written = text(completion)
    right = "a" in written if question == "easy" else written in ("ba.", "bb.")
    return float(right), float(completion[-1] == 0)


@dataclass(frozen=True)
class Toy:
    """The questions' completions, Q·C of them in all, as numbers of choices.

    ``choices_CT`` are the numbers of each completion's choices, -1 behind its end; ``lengths_C``
    their count; ``ended_C`` whether they came to an end before they were cut; ``question_C`` is the
    number of a completion's question and ``rewards_CK`` its rewards.
    ``before_N`` is the number of what was written before each of the N choices (a *context*), and
    ``contexts`` says which contexts there are, with the letters so far.
    """

    names: tuple[str, ...]
    choices_CT: NDArray[np.int64]
    lengths_C: NDArray[np.int64]
    ended_C: NDArray[np.bool_]
    question_C: NDArray[np.int64]
    rewards_CK: Floats
    contexts: tuple[tuple[int, Completion], ...]
    before_N: NDArray[np.int64]

    @property
    def n_choices(self) -> int:
        return len(self.before_N)

    def of_question(self, question: int) -> NDArray[np.int64]:
        """The numbers of a question's completions."""
        return np.flatnonzero(self.question_C == question)


def make_toy() -> Toy:
    contexts = tuple(
        (question, letters)
        for question in range(len(QUESTIONS))
        for length in range(LONGEST)
        for letters in product(_LETTERS, repeat=length)
    )
    place = {context: number for number, context in enumerate(contexts)}
    every = completions()
    choices, names, questions, rewards = [], [], [], []
    for question, name in enumerate(QUESTIONS):
        for completion in every:
            own = [
                place[question, completion[:t]] * len(SIGNS) + token
                for t, token in enumerate(completion)
            ]
            choices.append(own + [-1] * (LONGEST - len(own)))
            names.append(f"{name}: {text(completion)}")
            questions.append(question)
            rewards.append(rewards_of(name, completion))
    choices_CT = np.array(choices)
    return Toy(
        names=tuple(names),
        choices_CT=choices_CT,
        lengths_C=(choices_CT >= 0).sum(1),
        ended_C=np.array([name.endswith(SIGNS[0]) for name in names]),
        question_C=np.array(questions),
        rewards_CK=np.array(rewards),
        contexts=contexts,
        before_N=np.repeat(np.arange(len(contexts)), len(SIGNS)),
    )


def make_policy(seed: int) -> Transformer:
    """A random transformer that reads a question (one token) and letters."""
    config = ModelConfig(
        len(SIGNS) + len(QUESTIONS),
        max_tokens=1 + LONGEST,
        d_model=8,
        n_layers=1,
        attention=AttentionConfig(n_heads=2),
    )
    model = Transformer(config).double()
    move(model, seed, 0.5, keep=0.0)
    return model


@torch.no_grad()
def move(model: Transformer, seed: int, distance: float, keep: float = 1.0) -> None:
    """Add normal noise of standard deviation ``distance`` to all parameters, times ``keep``."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.mul_(keep).add_(distance * noise)


def logprobs(model: Transformer, toy: Toy) -> Tensor:
    """The log-probability (N,) of every choice, with its gradient."""
    rows = [
        [len(SIGNS) + question, *letters]
        for question in range(len(QUESTIONS))
        for letters in product(_LETTERS, repeat=LONGEST - 1)
    ]
    at: dict[tuple[int, Completion], tuple[int, int]] = {}
    for number, (sign, *letters) in enumerate(rows):
        for t in range(LONGEST):
            at.setdefault((sign - len(SIGNS), tuple(letters[:t])), (number, t))
    logits_BTV = model(torch.tensor(rows))[..., : len(SIGNS)]
    where = [at[context] for context in toy.contexts]
    row, column = (torch.tensor(numbers) for numbers in zip(*where, strict=True))
    return logits_BTV[row, column].log_softmax(-1).flatten()


def scores(model: Transformer, toy: Toy) -> Tensor:
    """The gradient of every choice's log-probability by all P parameters, (N, P)."""
    logprob_N = logprobs(model, toy)
    parameters = list(model.parameters())
    return torch.stack(
        [
            torch.cat(
                [g.flatten() for g in torch.autograd.grad(one, parameters, retain_graph=True)]
            )
            for one in logprob_N
        ]
    )
