"""The endpoints.

``completions``, ``chat`` (with ``chat_messages``), ``reasoning`` (with ``method_model``) and
``texts`` define them; ``service`` is what they share, ``sse`` streams responses.
"""
