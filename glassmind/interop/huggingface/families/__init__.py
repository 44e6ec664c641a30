"""The tables of all families. ``FAMILIES`` has them by ``model_type``."""

from __future__ import annotations

from glassmind.interop.huggingface.families.early import BLOOM, GPT2, MARIAN
from glassmind.interop.huggingface.families.gemma import GEMMA3, GEMMA3_SEEING
from glassmind.interop.huggingface.families.llama import (
    APERTUS,
    LLAMA,
    MISTRAL,
    OLMO2,
    OLMO3,
    QWEN2,
    QWEN3,
    SMOLLM3,
)
from glassmind.interop.huggingface.families.mixtures import DEEPSEEK_V3, MIXTRAL, QWEN3_MOE
from glassmind.interop.huggingface.family import Family

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        MARIAN,
        GPT2,
        BLOOM,
        LLAMA,
        MISTRAL,
        MIXTRAL,
        QWEN2,
        QWEN3,
        APERTUS,
        QWEN3_MOE,
        GEMMA3,
        GEMMA3_SEEING,
        OLMO2,
        OLMO3,
        SMOLLM3,
        DEEPSEEK_V3,
    )
}
