"""Hashes that say whether two evaluations asked the same model the same thing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from glassmind.evaluate.provenance import Provenance
from glassmind.llm import LLM, LocalLLM
from glassmind.llm.remote import RemoteLLM
from glassmind.pipeline.tasks.prompts import prompt_name, text_hash
from glassmind.records import Problem
from glassmind.runs.recipe import SamplingConfig, calculator_use
from glassmind.serialization import encode


def provenance(
    llm: LLM,
    task: str,
    problems: Sequence[Problem],
    sampling: SamplingConfig,
    seed: int,
) -> Provenance:
    """What an evaluation is made of."""
    shown = llm.prompts
    return Provenance(
        model=llm.name,
        model_hash=model_hash(llm),
        task=task,
        task_hash=task_hash(json.dumps([p.question, p.answer]) for p in problems),
        problems=len(problems),
        prompt=prompt_name(shown.text),
        prompt_hash=text_hash(json.dumps(encode(shown), sort_keys=True)),
        shots=len(shown.examples),
        samples=sampling.samples,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        max_new_tokens=sampling.max_new_tokens,
        calculator=calculator_use(sampling.calculator),
        seed=seed,
    )


def task_hash(texts: Iterable[str]) -> str:
    """A hash of a task's questions, with what is right, in their order."""
    return _digest(texts)


def model_hash(llm: LLM) -> str:
    """A hash of everything in a model that decides what it says, except the prompt.

    The weights of a model behind an address are unknown, so for that the address and the name of
    the model count.
    """
    if isinstance(llm, RemoteLLM):
        return _digest([llm.client.base, llm.model, llm.format])
    if not isinstance(llm, LocalLLM):
        raise TypeError(f"{type(llm).__name__} has no hash")
    parts = [
        json.dumps(encode(llm.model.config), sort_keys=True),
        weights_hash(llm.model),
        "" if llm.scorer is None else weights_hash(llm.scorer),
        hashlib.sha256(b"\0".join(llm.token_bytes)).hexdigest(),
        "" if llm.template is None else llm.template.source,
        f"{llm.format} {llm.style} {sorted(llm.stop_ids)} {llm.bos_id} {llm.lines_are_steps}",
    ]
    return _digest(parts)


def weights_hash(module: nn.Module) -> str:
    """A hash of all parameters and buffers: names, shapes, types and bytes."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        found.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        found.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _digest(parts: Iterable[str]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return found.hexdigest()[:16]
