"""Lessons made from the code itself, so that text and code cannot part ways.

Read in this order: ``numbers`` (an architecture's numbers in one row), ``recipe_text`` (an
architecture as something to train), ``measured`` (architectures compared), ``architectures`` (the
chapter "From GPT-2 to today, one value at a time", whose words are in ``architectures.md.jinja``).
Its pictures: ``drawing`` (what they have in common), ``tree_drawing``, ``norm_drawing``,
``sight_drawing``, ``heads_drawing`` and ``measured_drawing``.
"""

from glassmind.learn.architectures import page, pictures, write_chapter
from glassmind.learn.measured import Measured, read_measured
from glassmind.learn.numbers import Facts, facts, large
from glassmind.learn.recipe_text import laptop_recipe, model_table

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
