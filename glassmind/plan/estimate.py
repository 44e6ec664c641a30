"""Training on many GPUs: what fits in memory, what is sent, how long a step takes.

Copies of a model on many GPUs read different rows and must agree on one step. The *layout* is how
they share the work:

    ddp    every GPU holds everything; gradients are all-reduced            (ZeRO stage 0)
    zero1  the optimizer state is split; weights are gathered after a step  (ZeRO stage 1)
    zero2  the gradients are split too                                      (ZeRO stage 2)
    fsdp   the weights too; each block is gathered when it is needed        (ZeRO stage 3)

A layout may also split every matrix over the GPUs of one node (``tensor``), and keep only each
block's input and recompute the rest (``checkpointing``). ``estimate`` computes one layout,
``choose`` tries them all. Sources: memory of the state Rajbhandari et al. 2019 (arXiv
1910.02054), of activations Korthikanti et al. 2022 (2205.05198), tensor parallelism Narayanan et
al. 2021 (2104.04473), FSDP Zhao et al. 2023 (2304.11277).

Not counted: latency (noticeable in a ring over hundreds of GPUs), stragglers, the input pipeline,
writing checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from glassmind.model import ModelConfig
from glassmind.model.counting import parameters
from glassmind.model.memory_plan import (
    IN_BFLOAT16,
    Stage,
    activation_bytes,
    logits_bytes,
    training_flops,
)
from glassmind.train.objectives.chunked_loss import chunk_rows

Strategy = Literal["ddp", "zero1", "zero2", "fsdp"]
STAGES: dict[Strategy, Stage] = {"ddp": 0, "zero1": 1, "zero2": 2, "fsdp": 3}
USABLE = 0.9  # share of a GPU's memory; the rest is its context, library buffers and fragmentation
SAME = 1.02  # the estimate cannot distinguish layouts that are closer than 2 %
MOST_GPUS = 1 << 20


@dataclass(frozen=True)
class Cluster:
    """``gpus`` in nodes of ``per_node``. Bytes, bytes a second and FLOPs a second of one GPU.

    ``link`` and ``network`` are a GPU's bandwidth in each direction, inside and between nodes;
    ``efficiency`` is the share of ``peak`` that it reaches while computing.
    """

    gpus: int
    per_node: int = 8
    memory: float = 80e9
    peak: float = 989e12
    efficiency: float = 0.4
    link: float = 450e9
    network: float = 50e9

    def speed(self, members: int, in_a_node: int) -> float:
        """Bytes per second and GPU of a ring over ``members``, ``in_a_node`` of them in one node.

        A ring that leaves a node uses the network cards of all its members there.
        """
        if members <= in_a_node:
            return self.link
        return min(self.link, in_a_node * self.network)


@dataclass(frozen=True)
class Layout:
    """How the work is shared; ``rows`` is the micro-batch of one replica."""

    strategy: Strategy
    tensor: int = 1
    checkpointing: bool = False
    rows: int = 1

    def __str__(self) -> str:
        parts: list[str] = [self.strategy]
        if self.tensor > 1:
            parts.append(f"tensor {self.tensor}")
        if self.checkpointing:
            parts.append("checkpointing")
        return " + ".join(parts)


@dataclass(frozen=True)
class Job:
    """The training job: rows of ``sequence`` tokens, ``batch_rows`` per step."""

    config: ModelConfig
    sequence: int
    batch_rows: int
    tokens: float

    @property
    def batch_tokens(self) -> int:
        return self.sequence * self.batch_rows


@dataclass(frozen=True)
class Estimate:
    """The estimate of one layout. Bytes of one GPU, seconds of one step.

    ``gathered`` is the memory of other GPUs' weights that FSDP holds at a time. ``sent`` are the
    bytes that one GPU sends in a step, by purpose; ``exposed_seconds`` is the part of that time
    that does not overlap with computing.
    """

    layout: Layout
    accumulate: int
    state: float
    gathered: float
    activations: float
    logits: float
    sent: dict[str, float]
    compute_seconds: float
    send_seconds: float
    exposed_seconds: float
    hours: float
    gpu_hours: float

    @property
    def memory(self) -> float:
        return self.state + self.gathered + self.activations + self.logits

    @property
    def step_seconds(self) -> float:
        return self.compute_seconds + self.exposed_seconds


def all_gather_bytes(size: float, n: int) -> float:
    """Bytes that each of ``n`` sends in a ring so that all end with ``size`` bytes."""
    return size * (n - 1) / n


def reduce_scatter_bytes(size: float, n: int) -> float:
    """Bytes that each of ``n`` sends to end with its part of the sum of ``size`` bytes."""
    return size * (n - 1) / n


def all_reduce_bytes(size: float, n: int) -> float:
    """A reduce-scatter, then an all-gather, the optimum for a ring (Patarasuk & Yuan 2009)."""
    return reduce_scatter_bytes(size, n) + all_gather_bytes(size, n)


def root_parameters(config: ModelConfig) -> int:
    """Parameters outside the blocks; FSDP gathers them first and keeps them through the step."""
    counted = parameters(config)
    in_blocks = parameters(replace(config, final_norm=False, embedding_norm=False)).norms
    return counted.embedding + counted.output + counted.norms - in_blocks


def replica_bytes(
    config: ModelConfig, strategy: Strategy, n: int, micro_batches: int = 1, tensor: int = 1
) -> dict[str, float]:
    """Bytes that one of ``n`` replicas sends in a step, by collective.

    Gradients are sent in float32. DDP and ZeRO-1 send them once per step; ZeRO-2 and FSDP keep no
    full gradient to accumulate into and send after every micro-batch. Blocks are gathered in
    bfloat16, once forward and once backward; parameters outside them in float32, once.
    """
    total, root = parameters(config).total / tensor, root_parameters(config) / tensor
    gradients = 4 * total
    if strategy == "ddp":
        return {"all_reduce": all_reduce_bytes(gradients, n)}
    if strategy == "fsdp":
        gathered = 2 * 2 * (total - root) + 4 * root
        return {
            "all_gather": micro_batches * all_gather_bytes(gathered, n),
            "reduce_scatter": micro_batches * reduce_scatter_bytes(gradients, n),
        }
    times = micro_batches if strategy == "zero2" else 1
    return {
        "all_gather": all_gather_bytes(2 * total, n),
        "reduce_scatter": times * reduce_scatter_bytes(gradients, n),
    }


def tensor_bytes(config: ModelConfig, tokens: int, tensor: int, checkpointing: bool) -> float:
    """Bytes that one of ``tensor`` GPUs sends for ``tokens`` tokens of a replica.

    Each layer all-reduces its 16-bit output after attention and after the feed-forward network,
    forwards and backwards (Narayanan et al. 2021, §2.3), and forwards again if recomputed.
    """
    times = 6 if checkpointing else 4
    return config.n_layers * times * all_reduce_bytes(2 * tokens * config.d_model, tensor)


def estimate(job: Job, cluster: Cluster, layout: Layout) -> Estimate:
    """The estimate of one layout; ``layouts`` yields the possible ones."""
    config, tensor = job.config, layout.tensor
    replicas = cluster.gpus // tensor
    accumulate = job.batch_rows // (replicas * layout.rows)
    tokens = layout.rows * job.sequence
    counted = parameters(config).total / tensor
    replica = replica_bytes(config, layout.strategy, replicas, accumulate, tensor)
    inside = accumulate * tensor_bytes(config, tokens, tensor, layout.checkpointing)
    seconds = sum(replica.values()) / cluster.speed(replicas, cluster.per_node // tensor)
    tensor_seconds = inside / cluster.link
    flops = training_flops(config, job.sequence) * job.batch_tokens
    flops *= 4 / 3 if layout.checkpointing else 1
    compute = flops / (cluster.gpus * cluster.peak * cluster.efficiency)
    # Sending overlaps with all computing in FSDP, with the backward passes in ZeRO-2, and with the
    # last backward pass in DDP and ZeRO-1. Tensor parallelism waits for every sum.
    backward = compute * 2 / 3
    window = {"fsdp": compute, "zero2": backward}.get(layout.strategy, backward / accumulate)
    step = compute + max(0.0, seconds - window) + tensor_seconds
    hours = step * job.tokens / job.batch_tokens / 3600
    return Estimate(
        layout=layout,
        accumulate=accumulate,
        state=IN_BFLOAT16.per_gpu(counted, STAGES[layout.strategy], replicas),
        gathered=_gathered(config) / tensor if layout.strategy == "fsdp" else 0.0,
        activations=_activations(config, tokens, layout.checkpointing) / tensor,
        logits=logits_bytes(config, min(tokens, chunk_rows(config.vocab_size))) / tensor,
        sent=replica | ({"tensor": inside} if tensor > 1 else {}),
        compute_seconds=compute,
        send_seconds=seconds + tensor_seconds,
        exposed_seconds=step - compute,
        hours=hours,
        gpu_hours=hours * cluster.gpus,
    )


def _gathered(config: ModelConfig) -> float:
    """Memory of gathered weights: two blocks (the current and the next) in bfloat16 and one block's
    gradient; outside the blocks float32 weights, a bfloat16 copy and the gradient."""
    root = root_parameters(config)
    block = (parameters(config).total - root) / config.n_layers
    return 2 * 2 * block + (2 + 4) * block + (4 + 2 + 4) * root


def _activations(config: ModelConfig, tokens: int, checkpointing: bool) -> float:
    layer = activation_bytes(config) * tokens
    stream = 4 * config.d_model * tokens  # between two blocks
    kept = config.n_layers * stream + layer if checkpointing else config.n_layers * layer
    return kept + 2.5 * stream  # the final norm: its input twice, its output in 16 bits


def layouts(job: Job, cluster: Cluster) -> Iterator[Layout]:
    """Every layout whose replicas divide the batch evenly, the simplest first."""
    attention = job.config.attention
    for tensor in (1, 2, 4, 8, 16):
        whole = cluster.gpus % tensor == 0 and cluster.per_node % tensor == 0
        heads = attention.n_heads % tensor == 0 and job.config.n_kv_heads % tensor == 0
        replicas = cluster.gpus // tensor
        if not whole or not heads or not replicas or job.batch_rows % replicas:
            continue
        each = job.batch_rows // replicas
        for strategy in STAGES:
            for checkpointing in (False, True):
                for rows in (n for n in (1, 2, 4, 8, 16) if each % n == 0):
                    yield Layout(strategy, tensor, checkpointing, rows)


def choose(job: Job, cluster: Cluster) -> dict[str, Estimate]:
    """The best estimate by strategy, with tensor parallelism by itself as ``"tensor"``.

    The best is the fastest that fits (of equally fast ones the smallest), or the smallest if none
    fits; see ``fits``. A strategy that cannot divide the batch is missing.
    """
    found: dict[str, list[Estimate]] = {}
    for layout in layouts(job, cluster):
        key = "tensor" if layout.tensor > 1 else layout.strategy
        found.setdefault(key, []).append(estimate(job, cluster, layout))
    return {key: _best(results, cluster) for key, results in found.items()}


def _best(results: list[Estimate], cluster: Cluster) -> Estimate:
    fitting = [result for result in results if fits(result, cluster)]
    if not fitting:
        return min(results, key=lambda result: result.memory)
    fastest = min(result.step_seconds for result in fitting)
    near = [result for result in fitting if result.step_seconds <= SAME * fastest]
    return min(near, key=lambda result: result.memory)


def fits(result: Estimate, cluster: Cluster) -> bool:
    """Whether it fits into a GPU's memory, with a margin."""
    return result.memory <= USABLE * cluster.memory


def recommend(chosen: dict[str, Estimate], cluster: Cluster) -> Estimate | None:
    """The recommended one of ``choose``, if any fits: the fastest, of equals the simplest.

    ZeRO-1 and 2 save less memory than FSDP and are hardly faster; the trainer does not implement
    them, and they are never recommended. Tensor parallelism, which it does not implement either, is
    recommended only if nothing else fits.
    """
    fitting = {key: result for key, result in chosen.items() if fits(result, cluster)}
    ours = [fitting[key] for key in ("ddp", "fsdp") if key in fitting]
    if not ours:
        return fitting.get("tensor")
    fastest = min(result.step_seconds for result in ours)
    return next(result for result in ours if result.step_seconds <= SAME * fastest)


def fewest_gpus(job: Job, cluster: Cluster) -> int:
    """The number of GPUs, doubling ``cluster``, at which something fits; 0 if nothing ever does."""
    gpus = cluster.gpus
    while gpus <= MOST_GPUS:
        larger = replace(cluster, gpus=gpus)
        if recommend(choose(replace(job, batch_rows=max(job.batch_rows, gpus)), larger), larger):
            return gpus
        gpus *= 2
    return 0
