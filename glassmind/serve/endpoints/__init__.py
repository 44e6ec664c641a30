"""The endpoints.

``completions``, ``chat`` (with ``chat_messages``), ``reasoning`` (with ``method_model``) and
``texts`` are the endpoints;
``service`` is what they share, ``sse`` streams responses.
"""
