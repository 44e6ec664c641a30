"""Other people's formats, read and written.

What comes from elsewhere is not trusted: sizes are bounded, every field is checked, nothing in a
file is ever executed, and what is wrong is said with the file and the field.

- ``load``: whatever it is, found out and loaded
- ``huggingface``: folders with config.json and safetensors, family by family
- ``gguf``: files of llama.cpp; ``gguf_header`` reads what stands before the weights
- ``llama2c``: checkpoints of llama2.c
- ``peft``: low-rank adapters of Hugging Face's library of that name, of the kinds that
  ``peft_config`` knows
- ``tokenizers``: tokenizer files of Hugging Face, OpenAI, SentencePiece and llama.cpp
- ``hub``: models from the Hugging Face Hub, downloaded file by file (``resumable``), and found
  again (``pulled``)
- ``shipped_packages``: models that are Python packages

Below them lie ``pretrained`` (what a loaded model is), ``building`` (weights into a model, once in
memory) and ``canonical`` (when two configs mean the same).

Importing this package imports none of it.
"""
