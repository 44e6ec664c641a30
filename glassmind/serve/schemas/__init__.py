"""The bodies of requests and responses.

``foreign`` (fields of other servers), ``requests`` with their bounds, ``responses``, and
``events``, the chunks of a stream.
"""
