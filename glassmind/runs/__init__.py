"""The run folder: recipe, checkpoints, finished models.

Read ``recipe`` (every number of a run), with ``dial`` (all sizes from the depth) and
``dataclass_tree`` and ``field_types`` (dataclasses from TOML). Then ``folder`` (the files of a
run), with ``lock`` (one writer) and ``files`` (atomic writes). ``checkpoint`` and
``distributed_checkpoint`` save the state of training, ``weights`` and ``models`` a finished model,
``samples`` its completions.
"""
