"""Access control: who may send requests, how often, and how large.

Every request passes ``gate``; ``hosts``, ``keys``, ``rates`` and ``memory`` are its rules, and
``callers`` is what it finds out; ``refusals`` are the error responses.
"""
