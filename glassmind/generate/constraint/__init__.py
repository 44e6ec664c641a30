"""Constrained output: which tokens may come next."""
