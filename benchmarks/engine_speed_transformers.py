"""The side of ``transformers`` in ``engine_speed.py``.

    python benchmarks/engine_speed_transformers.py THREADS FOLDER... < jobs

Every folder's model is loaded in ``float32`` and in ``bfloat16``. A batch is ``width`` prompts,
shortest prompts first to need little padding (on the left), times ``num_return_sequences``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
import transformers
from engine_speed_job import Job, Made, Side, answer_jobs


def side(folder: Path, dtype: torch.dtype) -> Side:
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, local_files_only=True
    ).eval()
    model.generation_config = transformers.GenerationConfig()  # ignore the folder's own defaults

    def do(job: Job) -> Made:
        shortest = sorted(range(len(job.prompts)), key=lambda i: len(job.prompts[i]))
        batches = [shortest[i : i + job.width] for i in range(0, len(shortest), job.width)]
        tokens, began = 0, time.perf_counter()
        for batch in batches:
            tokens += generate(model, job, batch)
        return Made(tokens, time.perf_counter() - began)

    return do


def generate(model: transformers.PreTrainedModel, job: Job, batch: list[int]) -> int:
    """Continue a batch; returns how many of its tokens the job asked for."""
    longest = max(len(job.prompts[i]) for i in batch)
    padded = [[0] * (longest - len(job.prompts[i])) + list(job.prompts[i]) for i in batch]
    mask = [[0] * (longest - len(job.prompts[i])) + [1] * len(job.prompts[i]) for i in batch]
    # A temperature and filters that change nothing are not applied.
    drawing = {"temperature": job.temperature, "top_k": 0} if job.temperature else {}
    ids = model.generate(
        torch.tensor(padded),
        attention_mask=torch.tensor(mask),
        do_sample=bool(job.temperature),
        num_return_sequences=job.samples,
        max_new_tokens=max(job.limits[i] for i in batch),
        eos_token_id=None if job.stop < 0 else job.stop,
        pad_token_id=0,
        **drawing,
    )
    wanted = 0
    for row, made in enumerate(ids[:, longest:].tolist()):
        kept = made[: job.limits[batch[row // job.samples]]]
        wanted += kept.index(job.stop) + 1 if job.stop in kept else len(kept)
    return wanted


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    sides = {
        f"{folder.name} {kind}": side(folder, getattr(torch, kind))
        for folder in map(Path, sys.argv[2:])
        for kind in ("float32", "bfloat16")
    }
    answer_jobs(sides, {"transformers": transformers.__version__})


if __name__ == "__main__":
    main()
