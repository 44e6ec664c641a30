"""Access control: who may send requests, how often, and how large.

Every request passes ``gate``, which applies the rules of ``hosts``, ``keys``, ``rates`` and
``memory``. ``callers`` says who sent a request; ``refusals`` are the error responses.
"""
