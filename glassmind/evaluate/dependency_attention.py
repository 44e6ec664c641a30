"""Which heads look where an operand comes from: along the arrows of a solution's graph.

To write the ``14`` of ``14-4=10`` a model has to find the step that made 14. Training data knows
the place (``data.batches.dependencies``), so it can be measured how much of its attention each head
spends there, at the token before the operand, which is the one that must know it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.dependencies import dependency_columns
from glassmind.data.batches.packing import Document, pack
from glassmind.evaluate.run_files import HeadShares
from glassmind.model import Transformer, probe
from glassmind.records import Problem
from glassmind.tokenize import Tokenizer, encode_completion, encode_prompt
from glassmind.train.batch import to_batch
from glassmind.train.objectives.dependencies import operand_sources

ROWS_AT_ONCE = 8


@torch.inference_mode()
def head_shares(
    model: Transformer,
    tok: Tokenizer,
    problems: Sequence[Problem],
    write: Callable[[str], str] = str,
) -> HeadShares:
    """The share of each head's attention that goes to the sources of operands, over the canonical
    solutions of ``problems`` that fit the context; ``write`` says how the model was taught to write
    the text of a step.
    """
    documents = []
    for problem in problems:
        texts = [write(step.text) for step in problem.steps]
        prompt = encode_prompt(tok, problem.question, "chain")
        ids = np.array(prompt + encode_completion(tok, texts, problem.answer, "chain"), np.int32)
        if len(ids) <= model.config.max_tokens:
            columns = dependency_columns(tok, problem.question, problem.steps, texts, len(ids))
            written = {COMPLETION: np.arange(len(ids)) >= len(prompt)}
            documents.append(Document(ids, {**written, **columns}))
    shares_NLH: list[torch.Tensor] = []
    evenly_N: list[torch.Tensor] = []
    rows = pack(documents, max(map(len, documents)), 0) if documents else None
    device = next(model.parameters()).device
    for start in range(0, 0 if rows is None else len(rows), ROWS_AT_ONCE):
        assert rows is not None
        batch = to_batch(rows.take(slice(start, start + ROWS_AT_ONCE)), device)
        with probe(model, read=["blocks.*.attention.weights"]) as seen:
            model.hidden(
                batch.ids, positions=batch.positions, mask=batch.mask, previous=batch.previous
            )
        rows_N, queries_N, source_NT = operand_sources(batch)
        shares_NLH.append(
            torch.stack(
                [
                    (weights_BHTT[rows_N, :, queries_N] * source_NT[:, None]).sum(-1)
                    for weights_BHTT in seen.values()
                ],
                dim=1,
            )
        )
        visible_N = batch.positions[rows_N, queries_N] + 1
        evenly_N.append(source_NT.sum(-1) / visible_N)
    if not shares_NLH or not sum(map(len, shares_NLH)):
        return HeadShares(operands=0, evenly=0.0, shares=())
    return HeadShares(
        operands=sum(map(len, shares_NLH)),
        evenly=float(torch.cat(evenly_N).mean()),
        shares=tuple(
            tuple(round(share, 4) for share in layer)
            for layer in torch.cat(shares_NLH).mean(0).tolist()
        ),
    )
