"""The HTTP API: a model behind the endpoints that OpenAI's clients know, and a chat page.

    a request ─gate→ ─schema→ ─prompt→ ids ─engine thread→ tokens ─reply→ text, as it forms

Read in this order:

- ``work``: the engine's thread, how requests reach it, and how tokens become a reply
- ``schemas``: the bodies of requests, responses and stream events
- ``sampling``, ``constraints``: from a request's fields to the engine's parameters
- ``access``: host names, API keys, rate limits and memory
- ``endpoints``: one file per endpoint
- ``app``, ``connections``, ``log``, ``running``: the ASGI application, its connections and log, and
  the process that runs it

The model itself, its prompts and its replies are in ``glassmind.llm``.
FastAPI and uvicorn are the extra ``glassmind[serve]``. Importing this package imports none of it.
"""
