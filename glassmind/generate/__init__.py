"""logits → text: sampling, the shared cache, the engine.

Read in this order: ``request`` (what is asked and answered), ``sampling`` (logits to a token),
``cache`` (keys and values in blocks), ``packed`` (a model made small and fast), ``reader`` (a model
and what it has read), ``sample`` (one continuation on its way), ``scheduler`` (who is worked on
next), ``admission`` (what may be asked), ``scoring`` and ``drawing`` (what a pass tells),
``contest`` (the best of many), ``engine`` (the whole). Then what is added to it: ``speculative``
(guessing ahead), and what may follow a sample: ``companion``, ``stop_texts``, ``calculator``,
``constraint``.
"""

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
    "pack_model",
]
