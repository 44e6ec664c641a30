"""From a request to its text.

Read ``engine_thread`` (the one thread that computes, and how requests reach it), ``turns`` (one
client at a time), ``compiling`` (constraints, beside everything else), ``reply`` (token ids to
text, as they arrive), ``call_formats`` and ``tool_calls`` (which part of a reply is a call),
``engine_state`` and ``metrics`` (what is counted).
"""
