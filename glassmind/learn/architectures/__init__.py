"""The chapter "From GPT-2 to today, one value at a time".

``chapter`` is the whole, its words are in ``chapter.md.jinja``. What it tells: ``published`` (who
published which model, after which), ``lineage`` (what changed, value by value), ``reasons`` (why),
``numbers`` (an architecture's numbers in one row), ``recipe_text`` and ``scaled_down`` (an
architecture as something to train on a laptop), ``measured`` (architectures compared). Its
pictures: ``drawing`` (what they have in common) and the five files named after theirs.
"""
