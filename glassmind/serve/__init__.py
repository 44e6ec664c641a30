"""The HTTP API: a model behind the endpoints that OpenAI's clients know, and a chat page.

    a request ─gate→ ─schema→ ─prompt→ ids ─engine thread→ tokens ─reply→ text, as it forms

Read in this order:

- ``work``: the one thread that computes, how requests reach it, and how tokens become a reply
- ``schemas``: what may be asked, and what is answered, at once or piece by piece
- ``sampling``, ``constraints``: from a request's fields to what the engine is asked
- ``access``: who may ask, how often, and how much at once
- ``endpoints``: what is answered
- ``app``, ``running``: the whole, and how it is run

The model itself, its prompts and its replies are in ``glassmind.llm``.
FastAPI and uvicorn are the extra ``glassmind[serve]``. Importing this package imports none of it.
"""
