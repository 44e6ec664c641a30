"""The kinds of fine-tuning, one a file. The name of the file is the ``objective`` of a recipe.

Read ``sft`` (problems in our own format), ``pretrain`` (more text), ``chat`` (conversations),
``classify`` (texts with labels), and ``grpo`` (learning from reward).

A file holds ``FINE_TUNING``: the function that trains, and the dataclass of its options, which a
recipe gives in the table ``[options]``. ``finetune`` finds the file by its name, so that a new kind
is one file here.
"""
