"""What may be asked (``requests``), and what is answered, at once or in pieces.

``responses`` are answers at once, ``events`` the pieces of a stream.
"""
