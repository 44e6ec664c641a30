"""The chapter "From GPT-2 to today, one value at a time".

Read ``chapter`` first; its text is in ``chapter.md.jinja``. Its contents: ``published`` (who
published which model, and its predecessor), ``lineage`` (what changed, value by value), ``reasons``
(why), ``numbers`` (an architecture's numbers in one row), ``recipe_text`` and ``scaled_down`` (an
architecture to train on a laptop), ``measured`` (a comparison). Its pictures: ``drawing`` (what
they share), and one file each, named ``*_drawing``.
"""
