"""The run folder: recipe, checkpoints, finished models.

Read ``recipe`` (every number of a run), with ``dial`` (all sizes from the depth) and ``overrides``
(single values, as ``--set`` changes them). Then ``folder`` (the files of a run), with ``lock`` (one
writer) and ``results`` (its small files as records). ``checkpoint`` and ``distributed_checkpoint``
save the state of training (``checkpoint_state`` is what both write last), ``weights`` and
``models`` save a finished model, and ``samples`` its traces (``samples_format_1`` reads those of
earlier versions). ``reward_groups`` are completions that a run has learned from.
"""
