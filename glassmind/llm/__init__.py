"""One interface to every model, whatever its kind and wherever it runs.

    llm = open_llm("runs/demo")        a run, a Hugging Face folder, a GGUF file, smollm2, org/name,
                                       or http://127.0.0.1:8000/v1
    traces = llm.sample(problems, params, llm.style)

Read ``model`` and ``llm`` (what every model can do), ``prompts`` (how a question is put),
``questions`` (which questions are refused), ``replies`` and ``reply_reader`` (finding the steps and
the answer in a reply), ``familiarity`` (is a question like those of the training?),
``local_prompts`` and ``local`` (a model in this process), ``costs`` (the time of a batch),
``log_likelihood`` (the probability of given texts) and ``continuing`` (a chain that is continued
after a step), ``remote`` with ``http_json`` and ``remote_reply`` (a model behind an address),
``opening`` (from a name to a model), and ``conversation`` with ``remote_conversation`` (turns of a
person and a model).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassmind.lazy_names import lazy_names

__all__ = [
    "LLM",
    "Format",
    "LocalLLM",
    "PromptFormat",
    "RemoteLLM",
    "Source",
    "as_llm",
    "open_llm",
]

if TYPE_CHECKING:
    from glassmind.llm.llm import LLM, Format
    from glassmind.llm.local import LocalLLM
    from glassmind.llm.opening import Source, as_llm, open_llm
    from glassmind.llm.prompts import PromptFormat
    from glassmind.llm.remote import RemoteLLM
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "glassmind.llm.llm": ("LLM", "Format"),
            "glassmind.llm.local": ("LocalLLM",),
            "glassmind.llm.opening": ("Source", "as_llm", "open_llm"),
            "glassmind.llm.prompts": ("PromptFormat",),
            "glassmind.llm.remote": ("RemoteLLM",),
        },
    )
