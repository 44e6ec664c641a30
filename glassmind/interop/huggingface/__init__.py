"""Hugging Face folders in and out, for every family in ``FAMILIES``.

Read in this order: ``folder`` (the whole), ``families/llama`` (what a family's table looks like),
``family`` (what it is used for), then how tables are applied, for config.json in ``config_rules``
and ``rope_rules``, for the weights in ``tensor_names``, ``transforms`` and ``weights``; at the
bottom ``safetensors_file`` and ``json_fields``, which read files that nobody vouches for.
"""

from glassmind.interop.huggingface.families import FAMILIES
from glassmind.interop.huggingface.family import Family
from glassmind.interop.huggingface.folder import (
    choose_family,
    load_folder,
    refuse_taken,
    save_folder,
)
from glassmind.interop.huggingface.weights import refuse_pickle

__all__ = [
    "FAMILIES",
    "Family",
    "choose_family",
    "load_folder",
    "refuse_pickle",
    "refuse_taken",
    "save_folder",
]
