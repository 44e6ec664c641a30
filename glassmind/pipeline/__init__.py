"""The jobs people run, assembled from everything below.

Read ``prepare`` (recipe to training rows), ``stages`` (each with its result on disk) and
``ladder``.
"""
