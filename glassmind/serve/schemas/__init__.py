"""The bodies of requests and responses.

``requests`` with their bounds, ``responses``, and ``events``, the chunks of a stream.
"""
