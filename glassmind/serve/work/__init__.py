"""From a request to its text.

Read ``engine_thread`` (the one thread that computes, and how requests reach it), ``turns`` (one
client at a time), ``compiling`` (constraints, in a thread of their own), ``call_formats`` and
``tool_calls`` (which part of a reply is a call), ``engine_state`` and ``metrics`` (the counters).
The text of a reply is read by ``glassmind.llm.reply_reader``.
"""
