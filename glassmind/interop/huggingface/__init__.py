"""Reads and writes Hugging Face folders, for every family in ``FAMILIES``.

Read in this order: ``folder`` (loading and saving), ``families`` (the tables, such as
``families/llama``), ``family`` (the type of a table), then how tables are applied: to config.json
in ``config_rules`` and ``rope_rules``, to the weights in ``tensor_names``, ``transforms`` and
``weights``. ``safetensors_file`` and ``json_fields`` read untrusted files.
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
