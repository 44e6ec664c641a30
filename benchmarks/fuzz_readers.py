"""Every reader of a stranger's file, on files that somebody damaged or made to do harm.

    python benchmarks/fuzz_readers.py [--files 14000] [--seed 0] [--keep FOLDER]

A sound file of every format is made, then changed: bytes flipped, cut off, doubled, numbers in a
header replaced by very large and negative ones, JSON nested, values of the wrong type, names with
control characters, keys twice. A reader may take the file or refuse it with a ``UserError`` of one
line. It must raise nothing else, nor take more than ``MEBIBYTES`` of memory (a limit on address
space) or ``SECONDS``; what does is reported with the seed that makes the file again, and ``--keep``
writes those files.

``tests/interop/test_fuzzed_readers.py`` does a few of each.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from glassmind.data.chats import load_chats
from glassmind.data.labelled import load_labelled
from glassmind.data.pretraining.texts import find_texts
from glassmind.data.problems.files import load_problems
from glassmind.errors import UserError
from glassmind.files import write_text
from glassmind.interop.gguf.save import save_gguf
from glassmind.interop.huggingface import save_folder
from glassmind.interop.load import load_pretrained
from glassmind.interop.peft import Adapter, load_adapter, save_adapter
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.tokenizers import load_tokenizer
from glassmind.interop.tokenizers.tokenizer_json import read_tokenizer_json
from glassmind.learn.architectures.scaled_down import scaled_down
from glassmind.model import PRESETS, Transformer
from glassmind.runs import checkpoint
from glassmind.runs.checkpoint import Checkpoint
from glassmind.runs.folder import open_run
from glassmind.runs.models import load, save_model
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.tokenize import CharTokenizer, save, train_bpe

MEBIBYTES, SECONDS = 1024, 20.0
NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, 2**53, 10**400, -(2**63), 1e308, 0.5, 5 * 10**8, 8 * 10**6)
TEXTS = ("", "\x1b[2J", "../../etc/passwd", "a" * 5000, "\ud800", "\u202e", "none", "0", "é" * 99)

Reader = Callable[[Path], object]
Case = tuple[str, Path, Reader]
"""The name of a format; a sound file, of which a copy is changed; and what reads the file, or the
folder it lies in."""


# ------------------------------------------------------------------------------------ sound files


def _small() -> Pretrained:
    torch.manual_seed(0)
    config = replace(scaled_down(PRESETS["llama3"], 32, 32), vocab_size=64, n_layers=2)
    return Pretrained(Transformer(config).eval(), None, None, frozenset(), None, "small", Path())


def _llama2c(path: Path) -> None:
    d, hidden, layers, heads, vocab, tokens = 8, 16, 2, 2, 20, 16
    numbers = vocab * d + layers * (2 * d + 4 * d * d + 3 * d * hidden) + d + tokens * d // heads
    path.write_bytes(
        struct.pack("<7i", d, hidden, layers, heads, heads, vocab, tokens)
        + torch.randn(numbers).numpy().tobytes()
    )


def corpus(folder: Path) -> list[Case]:
    """A sound file of every format that is read, below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    pretrained = _small()
    model = pretrained.model
    save_folder(pretrained, folder / "hf")
    save_gguf(pretrained, folder / "model.gguf", "f32")
    _llama2c(folder / "llama2c.bin")
    factors = {"blocks.0.attention.output": (torch.ones(2, 32), torch.ones(32, 2))}
    save_adapter(Adapter(factors, 2, 4.0), model, folder / "adapter", base="elsewhere")
    (folder / "bpe").mkdir()
    save(train_bpe(["Mia has 3 boxes of 12 pencils."] * 3, 290), folder / "bpe" / "tokenizer.json")
    (folder / "words").mkdir()
    write_text(folder / "words" / "tokenizer.json", json.dumps(_composed(), ensure_ascii=False))
    run = open_run(folder / "run", Recipe(name="r", model=model.config), resume=False)
    letters = CharTokenizer("".join(map(chr, range(0x100, 0x140))))
    save(letters, run.path / "tokenizer.json")
    sized = Transformer(replace(model.config, vocab_size=letters.vocab_size))
    save_model(run.model_folder("direct"), sized, letters, "direct")
    checkpoint.save(
        folder / "checkpoints", 3, Checkpoint({"model": {"a": torch.ones(3)}}, {"step": 3}), keep=2
    )
    write_text(folder / "recipe.toml", (run.path / "recipe.toml").read_text("utf-8"))
    problem = '{"question": "What is 1+1?", "answer": 2, "steps": ["1+1=2"], "id": "%d"}\n'
    write_text(folder / "problems.jsonl", "".join(problem % n for n in range(4)))
    turn = {"role": "user", "content": "Hi"}
    chat = {"messages": [turn, {"role": "assistant", "content": "Hello"}]}
    write_text(folder / "chats.json", json.dumps([chat] * 3))
    (folder / "chats.jsonl.gz").write_bytes(gzip.compress((json.dumps(chat) + "\n").encode() * 4))
    write_text(folder / "labels.csv", 'text,label\n"a, b",x\nc,y\n')
    rows = [{"text": f"text {n}", "label": "xy"[n % 2]} for n in range(4)]
    write_text(folder / "labels.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def corrected(path: Path) -> object:
        return load_adapter(path.parent, model)

    def folder_of(path: Path) -> object:
        return load_pretrained(path.parent)

    def texts(path: Path) -> object:
        return sum(len(piece.text) for piece in find_texts(str(path)).pieces())

    def whole_run(path: Path) -> object:
        where = path.parent if path.parent.name == "run" else path.parent.parent.parent
        return load(where)

    return [
        *(("folder", folder / "hf" / n, folder_of) for n in ("config.json", "model.safetensors")),
        ("GGUF", folder / "model.gguf", load_pretrained),
        ("llama2.c", folder / "llama2c.bin", load_pretrained),
        ("adapter", folder / "adapter" / "adapter_config.json", corrected),
        ("adapter", folder / "adapter" / "adapter_model.safetensors", corrected),
        ("tokenizer", folder / "bpe" / "tokenizer.json", load_tokenizer),
        ("tokenizer", folder / "words" / "tokenizer.json", read_tokenizer_json),
        *(("run", folder / "run" / n, whole_run) for n in ("recipe.toml", "tokenizer.json")),
        *(
            ("run", folder / "run" / "models" / "direct" / n, whole_run)
            for n in ("model.json", "model.safetensors")
        ),
        *(
            ("checkpoint", folder / "checkpoints" / "step-000003" / n, _newest)
            for n in ("state.json", "model.safetensors")
        ),
        ("recipe", folder / "recipe.toml", lambda path: read_recipe(str(path))),
        ("problems", folder / "problems.jsonl", load_problems),
        ("chats", folder / "chats.json", load_chats),
        ("chats", folder / "chats.jsonl.gz", load_chats),
        ("labels", folder / "labels.csv", load_labelled),
        ("labels", folder / "labels.jsonl", load_labelled),
        ("texts", folder / "labels.jsonl", texts),
    ]


def _newest(path: Path) -> object:
    return checkpoint.newest(path.parent.parent)


def _composed() -> dict[str, Any]:
    """A tokenizer.json with many kinds of parts."""
    vocab = {letter: n for n, letter in enumerate("abcdefgh▁")}
    return {
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": r"\p{N}{1,3}| ?\p{L}+"},
             "behavior": "Isolated", "invert": False},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        ]},
        "model": {"type": "BPE", "vocab": vocab | {"ab": 9, "abc": 10},
                  "merges": [["a", "b"], ["ab", "c"]], "unk_token": "a"},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [11], "tokens": ["<s>"]}}},
        "added_tokens": [{"id": 11, "content": "<s>", "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False, "special": True}],
    }  # fmt: skip


# ---------------------------------------------------------------------------------------- changes


def changed(data: bytes, name: str, rng: random.Random) -> bytes:
    """The content of a sound file, made hostile."""
    packed = name.endswith(".gz")
    if packed and rng.random() < 0.7:
        return gzip.compress(changed(gzip.decompress(data), name.removesuffix(".gz"), rng))
    is_text = name.endswith((".json", ".jsonl", ".toml", ".csv"))
    if name.endswith(".json") and rng.random() < 0.6:
        return _changed_json(json.loads(data), rng)
    if name.endswith(".safetensors") and rng.random() < 0.6:
        (length,) = struct.unpack("<Q", data[:8])
        header = _changed_json(json.loads(data[8 : 8 + length]), rng)
        return struct.pack("<Q", len(header)) + header + data[8 + length :]
    return _changed_bytes(data, is_text, rng)


def _changed_bytes(data: bytes, is_text: bool, rng: random.Random) -> bytes:
    changes = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(changes) + 1)
        match rng.randrange(7):
            case 0:
                del changes[at:]
            case 1 if at < len(changes):
                changes[at] ^= 1 << rng.randrange(8)
            case 2:
                some = changes[at : at + rng.randrange(200)]
                changes[at:at] = some * rng.choice((1, 2, 50))
            case 3:
                number = rng.choice((0, 1, 2**31, 2**32 - 1, 2**62, 2**64 - 1, 5 * 10**8))
                form = "<Q" if number >= 2**32 else rng.choice(("<I", "<Q"))
                changes[at : at + struct.calcsize(form)] = struct.pack(form, number)
            case 4 if is_text:
                number = str(rng.choice(NUMBERS)).encode()
                changes[at:at] = number
            case 5 if is_text:
                depth = rng.choice((10, 2000, 100_000))
                changes[at:at] = rng.choice((b"[", b'{"a":', b"a.")) * depth
            case 6 if is_text:
                text = rng.choice(TEXTS).encode("utf-8", "surrogatepass")
                changes[at:at] = text
        if not changes:
            break
    return bytes(changes)


def _changed_json(value: Any, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 3))):
        value = _changed_value(value, rng)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.05:  # a key twice
        text = text.replace("{", '{"model_type": 1, "model_type": 2, ', 1)
    return text.encode("utf-8", "surrogatepass")


def _changed_value(value: Any, rng: random.Random) -> Any:
    """The same value with something replaced, at a random place."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if rng.random() < 0.05:
            return {rng.choice(TEXTS) if k == key else k: v for k, v in value.items()}
        return value | {key: _changed_value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        if rng.random() < 0.2:
            return value * rng.choice((0, 2, 1000))
        at = rng.randrange(len(value))
        return [*value[:at], _changed_value(value[at], rng), *value[at + 1 :]]
    nested: Any = value
    for _ in range(rng.choice((5, 500))):
        nested = [nested]
    patterns = ("(a|aa)+b", "(?R)", "(?:(?:a{999}){999}){999}", "(((", "a{99999999}")
    return rng.choice((rng.choice(NUMBERS), rng.choice(TEXTS), None, True, [], {}, nested,
                       rng.choice(patterns)))  # fmt: skip


# ----------------------------------------------------------------------------------------- trials


@contextmanager
def at_most(mebibytes: int) -> Iterator[None]:
    """Let this process grow by no more than that inside the block, where the system can."""
    status = Path("/proc/self/statm")
    if not status.is_file():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(status.read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (mebibytes << 20), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def attempt(case: Case, sound: bytes, seed: int) -> tuple[str, str]:
    """Put the changed file in its place and read it: "taken", "refused", or what went wrong."""
    _, path, read = case
    path.write_bytes(changed(sound, path.name, random.Random(f"{seed} {path.name}")))
    began = time.monotonic()
    try:
        with at_most(MEBIBYTES):
            read(path)
    except UserError as error:
        outcome = "refused"
        said = str(error)
        sentence, *rows = said.strip().split("\n")
        listed = sentence.endswith(":") and all(row.startswith("  ") for row in rows)
        if rows and not listed and not path.name.endswith(".toml"):
            return "wrong", f"the message has several lines: {said[:200]!r}"
        if len(said) > 3000:
            return "wrong", f"the message has {len(said)} characters: {said[:200]!r}"
    except (Exception, MemoryError) as error:
        return "wrong", f"{type(error).__name__}: {str(error)[:200]}"
    else:
        outcome = "taken"
    seconds = time.monotonic() - began
    return ("wrong", f"it took {seconds:.0f} s") if seconds > SECONDS else (outcome, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=14_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first file")
    parser.add_argument("--keep", type=Path, help="a folder for files that something is wrong with")
    args = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        cases = corpus(Path(scratch))
        contents = [path.read_bytes() for _, path, _ in cases]
        for seed in range(args.seed, args.seed + args.files):
            case, sound = cases[seed % len(cases)], contents[seed % len(cases)]
            outcome, problem = attempt(case, sound, seed)
            counts[case[0], outcome] += 1
            if problem:
                print(f"seed {seed}, {case[0]} {case[1].name}: {problem}", flush=True)
                if args.keep:
                    args.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(case[1], args.keep / f"{seed}-{case[1].name}")
            case[1].write_bytes(sound)
    print(f"{'format':<12}{'taken':>8}{'refused':>9}{'wrong':>7}")
    for name in dict.fromkeys(name for name, _, _ in cases):
        row = [counts[name, outcome] for outcome in ("taken", "refused", "wrong")]
        print(f"{name:<12}{row[0]:>8}{row[1]:>9}{row[2]:>7}")
    wrong = sum(n for (_, outcome), n in counts.items() if outcome == "wrong")
    print(json.dumps({"files": args.files, "wrong": wrong}))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
