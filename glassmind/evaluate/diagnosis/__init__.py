"""Diagnoses problems of a training run, in plain language.

``diagnose`` is the entry point, ``judgement`` the result, ``stage_figures`` the figures that are
judged, ``loss_judgements``, ``layer_judgements`` and ``preference_judgements`` the rules. Learning
from reward has its own: ``policy_run`` prepares its figures, ``policy_judgements`` are the rules.
"""
