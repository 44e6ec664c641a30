"""logits → text: sampling, the shared cache, the engine.

Read in this order: ``request`` (what is asked and answered), ``random_numbers`` (randomness that
depends on what it is for), ``sampler`` (logits to a token), ``paged_attention`` (keys and values in
blocks), ``blocks`` (whose they are), ``paged_cache`` (the model's view of them), ``sample`` (one
continuation on its way), ``scheduler`` (who is worked on next), ``admission`` (what may be asked),
``prompt_lookup`` (guessing ahead), ``engine`` (the whole); then what may follow a sample:
``companion``, ``stop_texts``, ``calculator``, and ``constraint`` with ``vocabulary``,
``token_trie`` and ``grammar``.
"""

from glassmind.generate.constraint import (
    Constraint,
    JSONObjectConstraint,
    JSONSchemaConstraint,
    RegexConstraint,
)
from glassmind.generate.engine import Engine, Event
from glassmind.generate.random_numbers import derive_seed
from glassmind.generate.request import Generation, Request, SamplingParams
from glassmind.generate.sampler import Sampler
from glassmind.generate.vocabulary import Vocabulary

__all__ = [
    "Constraint",
    "Engine",
    "Event",
    "Generation",
    "JSONObjectConstraint",
    "JSONSchemaConstraint",
    "RegexConstraint",
    "Request",
    "Sampler",
    "SamplingParams",
    "Vocabulary",
    "derive_seed",
]
