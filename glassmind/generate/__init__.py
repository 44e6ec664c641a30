"""logits → text: sampling, the shared cache, the engine.

Read in this order: ``request`` (what is asked and answered), ``random_numbers`` (randomness that
depends on what it is for), ``sampler`` (logits to a token), ``shared_prefix`` (the cache in which
samples share their prompt), ``waves`` (which requests run together), ``decode`` (one wave, step by
step), ``engine`` (the whole).
"""

from glassmind.generate.engine import Engine
from glassmind.generate.random_numbers import derive_seed
from glassmind.generate.request import Generation, Request, SamplingParams
from glassmind.generate.sampler import Sampler
from glassmind.generate.shared_prefix import SharedPrefixCache

__all__ = [
    "Engine",
    "Generation",
    "Request",
    "Sampler",
    "SamplingParams",
    "SharedPrefixCache",
    "derive_seed",
]
