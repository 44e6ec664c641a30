"""Who may ask, how often, and how much at once.

``gate`` is what every request passes; ``hosts``, ``keys`` and ``rates`` are its rules; ``refusals``
is how a client is told no.
"""
