"""The HTTP API: a model behind the endpoints that OpenAI's clients know, and a chat page.

    a request ─gate→ ─schema→ ─prompt→ ids ─engine thread→ tokens ─reply→ text, as it forms

Read in this order:

- ``served_model``: one face for a run's model and for a model from elsewhere; ``prompts`` makes a
  conversation into ids
- ``engine_thread``: the one thread that computes, and how requests reach it
- ``reply``: from token ids to text, while tokens still come; ``tool_calls``: what in it is a call
- ``request_schema``, ``response_schema``, ``event_schema``: what may be asked, and what is
  answered, at once or piece by piece
- ``sampling``, ``constraints``: from a request's fields to what the engine is asked
- ``gate``, ``hosts``, ``keys``, ``rates``: who may ask, how often, and how much at once;
  ``refusals``: how a client is told no
- ``completions``, ``chat`` (``chat_messages``), ``reasoning``, ``texts``: the endpoints, with
  ``service`` in common; ``sse``: streaming
- ``metrics``, ``app``, ``running``: the whole, watched and run
- ``conversation``: the chat of the terminal, which needs none of the above but the first four

FastAPI and uvicorn are the extra ``glassmind[serve]``. Importing this package imports none of it.
"""
