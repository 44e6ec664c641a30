"""The endpoints.

``completions``, ``chat`` (with ``chat_messages``), ``reasoning`` and ``texts`` are the endpoints;
``service`` is what they share, ``sse`` streams responses.
"""
