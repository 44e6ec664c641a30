"""What ails a training run, in plain language.

``diagnose`` is the whole, ``judgement`` what is said, ``stage_figures`` the figures it is said of,
``loss_judgements`` and ``layer_judgements`` the rules.
"""
