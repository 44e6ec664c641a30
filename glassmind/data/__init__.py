"""Problems (generated, real, or the user's own), and text to pretrain on.

Read ``stories`` first (what a family of word problems is), then ``skeleton`` (events and numbers),
``telling`` (words), ``splits`` (what keeps training and test apart) and ``generator``, which
combines them. ``problem_files`` loads a person's own problems (``problem_columns`` says where they
stand), ``gsm8k``, ``competition_math`` and ``word_problem_sets`` published ones with
``json_lines``, and ``problem_sets`` names these. Only for evaluation are ``perturbations`` (the
same problem, changed), ``countdown``, ``unanswerable``, ``multiple_choice`` and ``wikitext``.
``columns``, ``packing`` and ``loader`` turn encoded text into the batches a trainer reads;
``joined`` makes one problem of two, ``dependencies`` marks where the operands of a solution come
from, ``gaps`` spreads positions. For fine-tuning, ``chats`` reads conversations, which
``chat_encoding`` encodes, and ``labelled`` reads texts with labels. ``written_solutions`` are
solutions to be checked. Rows come from ``row_files``, whatever the file is: ``json_rows``,
``parquet_rows`` and tables by ``text_file``; ``bad_rows`` counts those that cannot be used.

For pretraining, ``texts`` streams documents from files. ``word_ngrams``, ``near_duplicates`` and
``contamination`` find text that should not be learned, ``filters`` removes it and reports it, and
``token_shards`` stores the ids on disk, where training reads them.
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
    from glassmind.data.gsm8k import load_gsm8k
    from glassmind.data.labelled import Labelled, load_labelled
    from glassmind.data.problem_files import (
        ProblemSplits,
        load_problems,
        save_problems,
        split_problems,
    )
    from glassmind.data.problem_sets import PROBLEM_SETS, ProblemSet, data_file
    from glassmind.data.splits import SPLITS, Split, check_disjoint
    from glassmind.data.stories import FAMILIES
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "glassmind.data.chat_encoding": ("chat_documents",),
            "glassmind.data.chats": ("Chat", "load_chats"),
            "glassmind.data.generator": ("ProblemDial", "generate"),
            "glassmind.data.gsm8k": ("load_gsm8k",),
            "glassmind.data.problem_files": (
                "ProblemSplits",
                "load_problems",
                "save_problems",
                "split_problems",
            ),
            "glassmind.data.labelled": ("Labelled", "load_labelled"),
            "glassmind.data.problem_sets": ("PROBLEM_SETS", "ProblemSet", "data_file"),
            "glassmind.data.splits": ("SPLITS", "Split", "check_disjoint"),
            "glassmind.data.stories": ("FAMILIES",),
        },
    )
