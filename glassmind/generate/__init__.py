"""logits → text: sampling, the shared cache, the engine.

Read in this order: ``request`` (what is asked and answered), ``sampling`` (logits to a token),
``cache`` (keys and values in blocks), ``packed`` (a model made small and fast), ``model_runner`` (a
model with its cache; ``step_reading`` for models that read steps), ``sample`` (one continuation on
its way), ``fair_shares`` (a pass shared among those who ask), ``scheduler`` (which samples are
worked on next), ``admission`` (checking requests), ``scoring`` and ``token_sampler`` (what a pass
yields), ``decode_run`` (several passes in one call), ``best_of`` (choosing among samples),
``engine`` (the whole). Then what is added to it: ``speculative`` (guessing ahead), the token hooks
(``token_hook``, ``stop_texts``, ``least_tokens``, ``calculator``, ``equation_calculator``,
``thinking_budget``, ``constraint``), and ``agreement`` (the engine's log-probabilities against the
trainer's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassmind.lazy_names import lazy_names

__all__ = [
    "KINDS",
    "ChoiceConstraint",
    "Constraint",
    "Engine",
    "Event",
    "Generation",
    "GrammarConstraint",
    "JSONObjectConstraint",
    "JSONSchemaConstraint",
    "PackedModel",
    "RegexConstraint",
    "Request",
    "Sampler",
    "SamplingParams",
    "Vocabulary",
    "WeightKind",
    "derive_seed",
    "logprob_difference",
    "pack_model",
]

if TYPE_CHECKING:
    from glassmind.generate.agreement import logprob_difference
    from glassmind.generate.constraint.constraint import (
        ChoiceConstraint,
        Constraint,
        GrammarConstraint,
        JSONObjectConstraint,
        JSONSchemaConstraint,
        RegexConstraint,
    )
    from glassmind.generate.constraint.vocabulary import Vocabulary
    from glassmind.generate.engine import Engine, Event
    from glassmind.generate.packed.matrix import KINDS, WeightKind
    from glassmind.generate.packed.model import PackedModel, pack_model
    from glassmind.generate.request import Generation, Request, SamplingParams
    from glassmind.generate.sampling.random_numbers import derive_seed
    from glassmind.generate.sampling.sampler import Sampler
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "glassmind.generate.agreement": ("logprob_difference",),
            "glassmind.generate.constraint.constraint": (
                "ChoiceConstraint",
                "Constraint",
                "GrammarConstraint",
                "JSONObjectConstraint",
                "JSONSchemaConstraint",
                "RegexConstraint",
            ),
            "glassmind.generate.constraint.vocabulary": ("Vocabulary",),
            "glassmind.generate.engine": ("Engine", "Event"),
            "glassmind.generate.packed.matrix": ("KINDS", "WeightKind"),
            "glassmind.generate.packed.model": ("PackedModel", "pack_model"),
            "glassmind.generate.request": ("Generation", "Request", "SamplingParams"),
            "glassmind.generate.sampling.random_numbers": ("derive_seed",),
            "glassmind.generate.sampling.sampler": ("Sampler",),
        },
    )
