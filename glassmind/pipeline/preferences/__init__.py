"""What the trainings on preferences share: ``starting`` (the model, and how answers are written for
it), ``sampled`` and ``fresh`` (pairs of the model's own chains), ``pairs`` (from a recipe to
encoded preferences), ``rows`` (what the trainer reads, kept until the end of the run), and what
held-out pairs tell: ``results`` about a model, ``reward_results`` about a reward model.
"""
