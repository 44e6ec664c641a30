"""The exact-gradient laboratory: what do estimators of the policy gradient estimate?

A toy is so small that all completions can be written down, so that the true gradient of the
expected reward is a sum and not an estimate. Each estimator's *expected* gradient is a sum as well,
over all sets of samples that it could have drawn, and the code that trains computes it.

Read ``toy`` (questions, completions, rewards, the policy), ``world`` (true gradients, and other
policies that sample), ``estimators`` (the rows of the table, as data), ``draws`` (all sets of
samples), ``measure`` (one row), then ``results`` (the table) and ``page`` (the picture).
"""
