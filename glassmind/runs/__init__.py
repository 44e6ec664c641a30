"""The run folder: recipe, checkpoints, finished models.

Read ``recipe`` (every number of a run), ``folder`` (what lies where), ``checkpoint`` (how a moment
is kept) and ``models`` (how a finished model is loaded).
"""
