"""A conversation into ids, by the model's own Jinja template.

``template`` is what is called; the template is an untrusted program, so it runs in
a process of its own (``glassmind.worker``), and ``sandbox`` is what runs there. ``marks`` keeps
apart what the template wrote and what it was given.
"""

from glassmind.tokenize.chat_template.template import ChatTemplate

__all__ = ["ChatTemplate"]
