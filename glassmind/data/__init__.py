"""Problems (generated, real, or the user's own), and text to pretrain on.

Read ``stories`` first (a family of word problems, its skeletons and how they are told), then
``splits`` (what keeps training and test apart) and ``generator``, which combines them. ``problems``
are those from files, read as ``rows``. For fine-tuning, ``chats`` reads conversations, which
``chat_encoding`` encodes, ``labelled`` reads texts with labels, and ``preferences`` which of two
answers is better; ``pretraining`` is for text without any of these. ``batches`` makes what a
trainer reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassmind.lazy_names import lazy_names

__all__ = [
    "FAMILIES",
    "PROBLEM_SETS",
    "SPLITS",
    "Chat",
    "Labelled",
    "ProblemDial",
    "ProblemSet",
    "ProblemSplits",
    "Split",
    "chat_documents",
    "check_disjoint",
    "data_file",
    "generate",
    "load_chats",
    "load_gsm8k",
    "load_labelled",
    "load_problems",
    "save_problems",
    "split_problems",
]

if TYPE_CHECKING:
    from glassmind.data.chat_encoding import chat_documents
    from glassmind.data.chats import Chat, load_chats
    from glassmind.data.generator import ProblemDial, generate
    from glassmind.data.labelled import Labelled, load_labelled
    from glassmind.data.problems.files import (
        ProblemSplits,
        load_problems,
        save_problems,
        split_problems,
    )
    from glassmind.data.problems.gsm8k import load_gsm8k
    from glassmind.data.problems.sets import PROBLEM_SETS, ProblemSet, data_file
    from glassmind.data.splits import SPLITS, Split, check_disjoint
    from glassmind.data.stories import FAMILIES
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "glassmind.data.chat_encoding": ("chat_documents",),
            "glassmind.data.chats": ("Chat", "load_chats"),
            "glassmind.data.generator": ("ProblemDial", "generate"),
            "glassmind.data.problems.gsm8k": ("load_gsm8k",),
            "glassmind.data.problems.files": (
                "ProblemSplits",
                "load_problems",
                "save_problems",
                "split_problems",
            ),
            "glassmind.data.labelled": ("Labelled", "load_labelled"),
            "glassmind.data.problems.sets": ("PROBLEM_SETS", "ProblemSet", "data_file"),
            "glassmind.data.splits": ("SPLITS", "Split", "check_disjoint"),
            "glassmind.data.stories": ("FAMILIES",),
        },
    )
