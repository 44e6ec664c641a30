"""What a result was made of, so that two results can be compared, and one made again."""

from __future__ import annotations

from dataclasses import dataclass

from glassmind.runs.recipe import CalculatorUse


@dataclass(frozen=True, slots=True)
class Provenance:
    """A result depends on these and, but for rounding in the model, on nothing else.

    ``model`` is the model's name and ``model_hash`` a hash of its weights, settings, tokenizer and
    chat template; of a model behind an address only the address and the name are known.
    ``task_hash`` is a hash of the questions in their order, ``prompt_hash`` one of the text around
    them, with the ``shots`` worked examples. The other fields say how chains were sampled.
    """

    model: str
    model_hash: str
    task: str
    task_hash: str
    problems: int
    prompt: str
    prompt_hash: str
    shots: int
    samples: int
    temperature: float
    top_k: int
    top_p: float
    max_new_tokens: int
    calculator: CalculatorUse
    seed: int

    def __str__(self) -> str:
        return (
            f"model {self.model} ({self.model_hash}), task {self.task} ({self.task_hash}), "
            f"prompt {self.prompt} ({self.prompt_hash})"
        )
