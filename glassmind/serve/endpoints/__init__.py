"""What is answered.

``completions``, ``chat`` (with ``chat_messages``), ``reasoning`` and ``texts`` are the endpoints;
``service`` is what they have in common, ``sse`` streams.
"""
