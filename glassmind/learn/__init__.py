"""Lessons generated from the code, so that text and code always agree.

``architectures`` is the chapter "From GPT-2 to today, one value at a time".
"""

from glassmind.learn.architectures.chapter import page, pictures, write_chapter
from glassmind.learn.architectures.measured import Measured, read_measured
from glassmind.learn.architectures.numbers import Facts, facts, large
from glassmind.learn.architectures.recipe_text import laptop_recipe, model_table

__all__ = [
    "Facts",
    "Measured",
    "facts",
    "laptop_recipe",
    "large",
    "model_table",
    "page",
    "pictures",
    "read_measured",
    "write_chapter",
]
