"""From encoded text to the batches that a trainer reads: ``columns`` (values for each token),
``packing`` (documents in rows) and ``loader`` (rows in random order, resumable).

``dependencies`` marks where the operands of a solution come from, ``gaps`` spreads positions.
"""
