"""The other side of ``gguf_export.py``: llama.cpp, in a Python that has llama-cpp-python.

    /path/to/python benchmarks/llama_cpp_side.py < jobs.json

Reads ``[{"path": GGUF, "prompts": [[id, ...], ...], "tokens": n}, ...]`` and prints one JSON line
per job: the greedy tokens after each prompt, the logits after the prompt, and the processor seconds
per token. One thread; the KV cache is F32, as ours is.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from llama_cpp import GGML_TYPE_F32, Llama


def answer(job: dict[str, Any]) -> dict[str, Any]:
    model = Llama(
        job["path"],
        n_ctx=max(map(len, job["prompts"])) + job["tokens"] + 1,
        n_threads=1,
        n_threads_batch=1,
        type_k=GGML_TYPE_F32,
        type_v=GGML_TYPE_F32,
        logits_all=True,
        verbose=False,
    )
    tokens, logits, seconds = [], [], 0.0
    for prompt in job["prompts"]:
        model.reset()
        model.eval(prompt)
        logits.append(model.scores[len(prompt) - 1].tolist())
        chosen: list[int] = []
        started = time.process_time()
        for _ in range(job["tokens"]):
            chosen.append(int(model.scores[model.n_tokens - 1].argmax()))
            model.eval(chosen[-1:])
        seconds += time.process_time() - started
        tokens.append(chosen)
    each = seconds / (len(tokens) * job["tokens"])
    return {"tokens": tokens, "logits": logits, "seconds_per_token": each}


for job in json.load(sys.stdin):
    try:
        found = answer(job)
    except (ValueError, RuntimeError, AssertionError) as error:  # it could not load the file
        found = {"error": str(error)}
    print(json.dumps(found), flush=True)
