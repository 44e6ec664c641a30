"""From a request to its text.

``engine_thread`` (the one thread that computes, and how requests reach it), ``reply`` (token ids to
text, as they come), ``tool_calls`` (what in it is a call), ``metrics`` (what is counted).
"""
