"""Access control: who may send requests, how often, and how large.

Every request passes ``gate``; ``hosts``, ``keys`` and ``rates`` are its rules; ``refusals`` are the
error responses.
"""
