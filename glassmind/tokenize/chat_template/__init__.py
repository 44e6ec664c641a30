"""A conversation into ids, by the model's own Jinja template.

``template`` is what is called; the template is an untrusted program, so ``worker`` runs it in a
process of its own, and ``sandbox`` is what runs there.
"""

from glassmind.tokenize.chat_template.template import ChatTemplate

__all__ = ["ChatTemplate"]
