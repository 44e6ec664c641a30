"""How good a verifier is, on chains whose truth is known.

``chains`` are the arrays that the others read. Read ``first_error`` (does it find the first wrong
step?), ``quality`` (does it rank and is it calibrated?), ``choosing`` (what it is worth for
choosing among n chains), ``facts_alone`` (what a logistic regression reaches) and
``rollout_labels`` (how wrong labels are that are estimated by finishing a chain again and again).
``picture`` draws the reliability and the curves.
"""
