"""Verdicts → tables and reports.

Read ``ladder`` (the methods, and what they reached), then ``report`` (how a person sees a run).
What training runs tell: ``diagnosis`` (what ails one), ``compare`` (two or more), ``scaling`` (loss
against compute). What they share: ``run_files`` (what a run left behind), ``wording``, ``charts``.
"""
