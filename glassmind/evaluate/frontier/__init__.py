"""Accuracy against cost: ``results`` (the records and the statistics), ``page`` (how they are
shown)."""
