"""Text to pretrain on.

``texts`` streams documents from files. ``word_ngrams``, ``near_duplicates`` and ``contamination``
find text that should not be learned, ``filters`` removes it and reports it, and ``token_shards``
stores the ids on disk, where training reads them. ``wikitext`` is only for evaluation.
"""
