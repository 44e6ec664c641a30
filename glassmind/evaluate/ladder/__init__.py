"""The ladder: one row for each way of answering.

Read ``rungs`` (the methods by name), ``methods`` (what each does), ``rows`` (accuracy, interval,
paired test), ``findings`` (what they show, in sentences), ``table`` (for the terminal).
"""
