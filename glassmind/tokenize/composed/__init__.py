"""The tokenizers of published models, built from parts.

``tokenizer`` calls the parts, in this order: ``added_tokens``, ``normalize`` (with ``charsmap``),
``pretokenize`` (with ``patterns``), then one of ``character_bpe``, ``unigram`` and ``wordpiece``
(learned by ``train_wordpiece``), and ``decoders`` for the way back.
"""
