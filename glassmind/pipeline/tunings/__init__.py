"""The kinds of fine-tuning, one per file, named as the ``objective`` of a recipe.

Read ``sft`` (problems in our own format), ``pretrain`` (more text), ``chat`` (conversations),
``classify`` (texts with labels), ``grpo`` (learning from reward), ``ppo`` (the same with a critic),
``rejection`` (learning from the model's own right answers), ``distill`` (learning from a teacher),
``preference`` and ``online_dpo`` (which of two answers is better) and ``reward_model`` (how good is
an answer).

A file defines ``FINE_TUNING``: the function that trains, and the dataclass of its options, which a
recipe sets in the table ``[options]``. ``finetune`` finds the file by its name, so a new kind only
needs a new file here.
"""
