"""Where the gradient of one group of completions comes from, token by token.

Read ``objectives`` (the published objectives as options), ``group_loss`` (rewards, advantages,
ratios, terms and gradients of one group), ``text`` (the same for a terminal) and ``page``.
"""
