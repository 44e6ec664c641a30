"""The side of llama.cpp in ``engine_speed.py``, in a Python that has llama-cpp-python and numpy.

    /path/to/python benchmarks/engine_speed_llama.py THREADS FILE.gguf... < jobs

Parallel decoding through the library's own interface: in each pass, up to ``width`` sequences take
one token each; a sequence that ends is replaced by the next. The samples of a prompt share it: it
is read once, in a separate sequence. All other settings are llama.cpp's defaults. Tokens are drawn
for all rows together, from the whole vocabulary, in numpy.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from engine_speed_job import Job, Made, Side, answer_jobs

Rows = np.ndarray[Any, np.dtype[np.float32]]


class Context:
    """``n_seq`` sequences of at most ``n_each`` tokens, and one batch of any of them."""

    def __init__(self, model: Any, n_seq: int, n_each: int, unified: bool, threads: int) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = n_seq * -(-n_each // 256) * 256
        params.n_batch = max(n_each, n_seq)
        params.n_seq_max, params.kv_unified = n_seq, unified
        params.n_threads = params.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(model, params)
        if not self._context:
            raise SystemExit(f"llama.cpp makes no context of {n_seq} x {n_each} tokens")
        self.memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(params.n_batch, 0, 1)
        self._n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))

    def decode(self, tokens: Iterable[tuple[int, int, int, bool]]) -> Rows:
        """A pass over (token, position, sequence, whether to return logits). The result is a view
        of those logits that the next pass overwrites."""
        batch, count, wanted = self._batch, 0, 0
        for token, position, sequence, output in tokens:
            batch.token[count], batch.pos[count] = token, position
            batch.n_seq_id[count], batch.seq_id[count][0] = 1, sequence
            batch.logits[count] = output
            count, wanted = count + 1, wanted + output
        batch.n_tokens = count
        if llama_cpp.llama_decode(self._context, batch):
            raise SystemExit("llama.cpp could not decode a batch")
        logits = llama_cpp.llama_get_logits(self._context)
        return np.ctypeslib.as_array(logits, (wanted, self._n_vocab))

    def close(self) -> None:
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)


def draw(logits: Rows, temperature: float, random: np.random.Generator) -> list[int]:
    """Draw a token of every row, by inverting its cumulative distribution."""
    if temperature == 0:
        return [int(token) for token in logits.argmax(1)]
    weights = (logits - logits.max(1, keepdims=True)) * np.float32(1 / temperature)
    ends = np.exp(weights, out=weights).cumsum(1, out=weights)
    darts = random.random(len(ends), np.float32) * ends[:, -1]
    return [int(row.searchsorted(dart)) for row, dart in zip(ends, darts, strict=True)]


def work(context: Context, job: Job) -> int:
    """Do the job; the number of tokens."""
    random, memory, holder = np.random.default_rng(0), context.memory, job.width
    waiting = deque(i for i in range(len(job.prompts)) for _ in range(job.samples))
    free, held, first = deque(range(job.width)), -1, np.empty((0, 0), np.float32)
    last: dict[int, int] = {}  # of a sequence: its last token, how many it has made, its prompt
    made: dict[int, int] = {}
    prompt_of: dict[int, int] = {}
    tokens = 0

    def take(sequence: int, token: int) -> None:
        nonlocal tokens
        tokens += 1
        last[sequence], made[sequence] = token, made.get(sequence, 0) + 1
        if token == job.stop or made[sequence] == job.limits[prompt_of[sequence]]:
            llama_cpp.llama_memory_seq_rm(memory, sequence, -1, -1)
            del last[sequence], made[sequence]
            free.append(sequence)

    while waiting or last:
        while waiting and free:
            number, sequence = waiting.popleft(), free.popleft()
            prompt = job.prompts[number]
            if number != held:
                llama_cpp.llama_memory_seq_rm(memory, holder, -1, -1)
                end = len(prompt) - 1
                ids = enumerate(prompt)
                first = context.decode((t, at, holder, at == end) for at, t in ids).copy()
                held = number
            llama_cpp.llama_memory_seq_cp(memory, holder, sequence, -1, -1)
            prompt_of[sequence] = number
            take(sequence, draw(first, job.temperature, random)[0])
        if last:
            running = sorted(last)
            logits = context.decode(
                (last[s], len(job.prompts[prompt_of[s]]) + made[s] - 1, s, True) for s in running
            )
            for sequence, token in zip(running, draw(logits, job.temperature, random), strict=True):
                take(sequence, token)
    return tokens


def side(path: Path, threads: int) -> Side:
    model = llama_cpp.llama_model_load_from_file(
        str(path).encode(), llama_cpp.llama_model_default_params()
    )
    if not model:
        raise SystemExit(f"llama.cpp does not load {path}")

    def do(job: Job) -> Made:
        longest = max(len(p) + n for p, n in zip(job.prompts, job.limits, strict=True))
        context = Context(model, job.width + 1, longest, job.unified, threads)
        began = time.perf_counter()
        tokens = work(context, job)
        seconds = time.perf_counter() - began
        context.close()
        return Made(tokens, seconds)

    return do


@llama_cpp.llama_log_callback
def silent(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """Silence llama.cpp, which prints a lot while it loads."""


def main() -> None:
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    sides = {path.stem: side(path, int(sys.argv[1])) for path in map(Path, sys.argv[2:])}
    system = " ".join(llama_cpp.llama_print_system_info().decode().split())
    answer_jobs(sides, {"llama-cpp-python": llama_cpp.__version__, "llama.cpp": system})


if __name__ == "__main__":
    main()
