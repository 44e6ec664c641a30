"""Which of two answers is better: ``records`` (a preference), ``files`` (reading them, with
``dialogues``, transcripts in one text), ``generated`` (pairs whose truth is known) and
``documents`` (both answers after one prompt, as a document that branches).
"""
