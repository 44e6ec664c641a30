"""logits → text: sampling, the shared cache, the engine.

Read in this order: ``request`` (what is asked and answered), ``random_numbers`` (randomness that
depends on what it is for), ``sampler`` (logits to a token), ``paged_attention`` (keys and values in
blocks), ``blocks`` (whose they are), ``paged_cache`` (the model's view of them), ``packed_matrix``
and ``packed_model`` (a model made small and fast), ``reader`` (a model and what it has read),
``sample`` (one continuation on its way), ``scheduler`` (who is worked on next), ``admission`` (what
may be asked), ``scoring`` and ``drawing`` (what a pass tells), ``contest`` (the best of many),
``engine`` (the whole). Guessing ahead: ``acceptance`` (when a guess stands), ``prompt_lookup``,
``draft_model``. What may follow a sample: ``companion``, ``stop_texts``, ``calculator``, and
``constraint`` with ``vocabulary``, ``token_trie`` and ``grammar``.

``kernels`` is C++ for what Python is too slow for: ``native`` compiles it, ``native_calls`` says
what is in it.
"""

from glassmind.generate.constraint import (
    Constraint,
    JSONObjectConstraint,
    JSONSchemaConstraint,
    RegexConstraint,
)
from glassmind.generate.engine import Engine, Event
from glassmind.generate.packed_matrix import KINDS, WeightKind
from glassmind.generate.packed_model import PackedModel, pack_model
from glassmind.generate.random_numbers import derive_seed
from glassmind.generate.request import Generation, Request, SamplingParams
from glassmind.generate.sampler import Sampler
from glassmind.generate.vocabulary import Vocabulary

__all__ = [
    "KINDS",
    "Constraint",
    "Engine",
    "Event",
    "Generation",
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
