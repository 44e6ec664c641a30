"""The run folder: recipe, checkpoints, finished models.

Read ``recipe`` (every number of a run), ``folder`` (what lies where), ``results`` (small files of a
run as records), ``checkpoint`` (how a moment is kept) and ``models`` (how a finished model is
loaded). ``overrides`` changes single values of a recipe, as ``--set`` does.
"""
