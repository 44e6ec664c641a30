"""Other people's tokenizers, put together from parts.

``tokenizer`` is the whole; in the order of work: ``added_tokens``, ``normalize`` (and
``charsmap``), ``pretokenize`` (and ``patterns``), then one of ``character_bpe``, ``unigram`` and
``wordpiece`` (and ``train_wordpiece``), and ``decoders`` for the way back.
"""
