"""Reading and writing the model formats of other projects.

Files from elsewhere are not trusted: sizes are bounded, every field is checked, nothing in a file
is ever executed, and errors name the file and the field.

- ``load``: detects the format of a path and loads the model
- ``huggingface``: folders with config.json and safetensors, family by family
- ``gguf``: files of llama.cpp; ``gguf_header`` reads the part before the weights
- ``llama2c``: checkpoints of llama2.c
- ``peft``: low-rank adapters of Hugging Face's library of that name, of the kinds that
  ``peft_config`` knows
- ``tokenizers``: tokenizer files of Hugging Face, OpenAI, SentencePiece and llama.cpp
- ``hub``: models from the Hugging Face Hub, downloaded file by file (``resumable``) to a folder
  that is found again (``pulled``)
- ``shipped_packages``: models that are Python packages

They use ``pretrained`` (a loaded model with its tokenizer), ``turn_ends`` (which tokens end a
reply), ``building`` (puts weights into a model without a second copy) and ``canonical`` (whether
two configs describe the same model).

Importing this package imports none of these modules.
"""
