"""Who published each preset, when and where, and its predecessor.

The order is that of ``PRESETS``: each model comes after those it builds on. ``after`` makes a tree
of them, from the first Transformer to this project's own default; ``lineage.py`` computes the
changes along each branch from the configs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from glassmind.learn.architectures.reasons import (
    BLOOM,
    DEEPSEEK_V3,
    GEMMA3,
    GPT2,
    LLAMA2,
    LLAMA3,
    MISTRAL,
    MIXTRAL,
    OLMO2,
    OLMO3,
    QWEN3,
    SMOLLM2,
    VASWANI,
    Paper,
)


@dataclass(frozen=True)
class Published:
    """The origin of a preset. ``after`` is its predecessor."""

    title: str
    size: str
    year: int
    organisation: str
    paper: Paper | None
    after: str | None
    idea: str


MODELS: Mapping[str, Published] = {
    "transformer": Published(
        "Transformer",
        "base, its decoder",
        2017,
        "Google",
        VASWANI,
        None,
        "attention alone, without recurrence, carries a text from token to token",
    ),
    "gpt2": Published(
        "GPT-2",
        "124M",
        2019,
        "OpenAI",
        GPT2,
        "transformer",
        "predicting the next word of everything is enough to learn many tasks",
    ),
    "bloom": Published(
        "BLOOM",
        "560M",
        2022,
        "BigScience",
        BLOOM,
        "gpt2",
        "an open model for 46 languages, with distance as a penalty instead of positions",
    ),
    "llama2": Published(
        "Llama 2",
        "7B",
        2023,
        "Meta",
        LLAMA2,
        "gpt2",
        "the recipe nearly everyone has started from since: RMSNorm, RoPE, SwiGLU, no biases",
    ),
    "mistral": Published(
        "Mistral",
        "7B",
        2023,
        "Mistral AI",
        MISTRAL,
        "llama2",
        "grouped queries and a sliding window: long texts at the price of short ones",
    ),
    "mixtral": Published(
        "Mixtral",
        "8x7B",
        2024,
        "Mistral AI",
        MIXTRAL,
        "mistral",
        "eight feed-forward networks of which each token uses two",
    ),
    "llama3": Published(
        "Llama 3",
        "8B",
        2024,
        "Meta",
        LLAMA3,
        "llama2",
        "the same recipe with grouped queries, four times the vocabulary and far more data",
    ),
    "llama3.1": Published(
        "Llama 3.1",
        "8B",
        2024,
        "Meta",
        LLAMA3,
        "llama3",
        "sixteen times the context, by slowing RoPE's slow rotations",
    ),
    "qwen2.5": Published(
        "Qwen2.5",
        "0.5B",
        2024,
        "Alibaba",
        Paper("Qwen team 2024", "2412.15115"),
        "llama3",
        "biases on queries, keys and values alone, and tied embeddings where the model is small",
    ),
    "deepseek-v3": Published(
        "DeepSeek-V3",
        "671B",
        2024,
        "DeepSeek",
        DEEPSEEK_V3,
        "mixtral",
        "256 small experts, and keys and values of all heads in one short latent",
    ),
    "olmo2": Published(
        "OLMo 2",
        "1B",
        2025,
        "Ai2",
        OLMO2,
        "llama3",
        "norms after the branches instead of before them, for a run without spikes",
    ),
    "smollm2": Published(
        "SmolLM2",
        "135M",
        2025,
        "Hugging Face",
        SMOLLM2,
        "llama3",
        "the Llama recipe, deep and narrow, small enough for any machine",
    ),
    "gemma3": Published(
        "Gemma 3",
        "270M",
        2025,
        "Google",
        GEMMA3,
        "mistral",
        "five layers that look around for each one that sees everything, and four norms a block",
    ),
    "qwen3": Published(
        "Qwen3",
        "0.6B",
        2025,
        "Alibaba",
        QWEN3,
        "qwen2.5",
        "norms on queries and keys take the place of the biases",
    ),
    "qwen3-moe": Published(
        "Qwen3-MoE",
        "30B",
        2025,
        "Alibaba",
        QWEN3,
        "qwen3",
        "128 small experts, eight at a time",
    ),
    "smollm3": Published(
        "SmolLM3",
        "3B",
        2025,
        "Hugging Face",
        Paper("Bakouch et al. 2025"),
        "smollm2",
        "every fourth layer without any positions, for longer texts",
    ),
    "olmo3": Published(
        "OLMo 3",
        "7B",
        2025,
        "Ai2",
        OLMO3,
        "olmo2",
        "windows in three of four layers, and a context stretched by YaRN",
    ),
    "glassmind": Published(
        "Glassmind",
        "from 1M",
        2026,
        "this project",
        None,
        "qwen3",
        "what is agreed on by now, with the plainest feed-forward network that keeps up",
    ),
}
