"""Problems: generated, real, and a person's own.

Read ``stories`` first (what a family of word problems is), then ``skeleton`` (events and numbers),
``telling`` (words), ``splits`` (what keeps training and test apart) and ``generator``, which puts
them together. ``gsm8k`` and ``jsonl`` load problems from files. ``packing`` and ``loader`` turn
encoded text into the batches a trainer reads.
"""

from __future__ import annotations

from glassmind.data.generator import ProblemDial, generate
from glassmind.data.gsm8k import gsm8k_path, load_gsm8k
from glassmind.data.jsonl import ProblemSplits, load_problems, save_problems, split_problems
from glassmind.data.splits import SPLITS, Split, check_disjoint
from glassmind.data.stories import FAMILIES

__all__ = [
    "FAMILIES",
    "SPLITS",
    "ProblemDial",
    "ProblemSplits",
    "Split",
    "check_disjoint",
    "generate",
    "gsm8k_path",
    "load_gsm8k",
    "load_problems",
    "save_problems",
    "split_problems",
]
