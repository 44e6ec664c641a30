"""The HTTP API: a model behind the endpoints that OpenAI's clients know, and a chat page.

    a request ─gate→ ─schema→ ─prompt→ ids ─engine thread→ tokens ─reply→ text, as it forms

Read in this order:

- ``served_model``: one face for a run's model and for a model from elsewhere; ``prompts`` makes a
  conversation into ids
- ``work``: the one thread that computes, how requests reach it, and how tokens become a reply
- ``schemas``: what may be asked, and what is answered, at once or piece by piece
- ``sampling``, ``constraints``: from a request's fields to what the engine is asked
- ``access``: who may ask, how often, and how much at once
- ``endpoints``: what is answered
- ``app``, ``running``: the whole, and how it is run
- ``conversation``: the chat of the terminal, which needs none of the above but the first two

FastAPI and uvicorn are the extra ``glassmind[serve]``. Importing this package imports none of it.
"""
