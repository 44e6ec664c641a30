"""Verdicts → tables and reports.

Read ``rungs`` (the methods by name), ``methods`` (what each does), ``ladder_rows`` (accuracy,
interval, paired test), then ``table`` and ``report`` (how a person sees it). What a training run
tells: ``diagnosis`` (what ails it), ``training_panels`` (what the layers did), and ``compare`` (two
runs or more).
"""
