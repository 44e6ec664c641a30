"""The ladder: one row for each way of answering.

Read ``grading`` (solutions to verdicts), ``rows`` (accuracy, interval, paired test, cost),
``names`` (titles and order), ``findings`` (the conclusions, in sentences), ``table`` (for the
terminal) and ``rewards`` (rewards of the same chains). The methods themselves are in
``reason.methods``.
"""
