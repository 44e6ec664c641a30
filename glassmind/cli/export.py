"""Write a model for other programs: another name of glassmind convert, with the same options.

glassmind export runs/demo demo.gguf           for llama.cpp
glassmind export runs/demo demo-hf             for transformers
glassmind export runs/tuned adapter --to peft  only the LoRA adapter
"""

from __future__ import annotations

from glassmind.cli.convert import add_arguments, run

__all__ = ["add_arguments", "run"]
