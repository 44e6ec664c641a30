"""Traces on disk: one safetensors file for everything that was sampled for a list of problems.

The numbers are flat arrays with one entry per node, token or judgement, in the order of the
problems and their nodes. Texts repeat often, so each is stored once, in a JSON table that is saved
as bytes under the name ``json``, together with the version; nodes refer to them by number. Integers
and floats are written in the smallest type that holds them exactly, so nothing is lost.

Files are not trusted: sizes must agree, numbers must be in range, parents must come before
children, and the work of reading is bounded. Files of format 1 can still be read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from glassmind.errors import UserError
from glassmind.records import Author, Cost, Finish, Node, NodeKind, Problem, Trace
from glassmind.runs.checkpoint import load_tensors, save_tensors
from glassmind.runs.samples_format_1 import traces_of_format_1
from glassmind.tokenize import Style, Tokenizer

FORMAT = 2
MAX_BYTES = 2**34
MAX_NODES = 2**26
MAX_PATH_NODES = 2**27
"""Nodes of all paths together, with a shared node counted once for each path through it. This is
the work of reading every completion of the file."""

KINDS: tuple[NodeKind, ...] = get_args(NodeKind)
AUTHORS: tuple[Author, ...] = get_args(Author)
FINISHES: tuple[Finish | None, ...] = (None, *get_args(Finish))
COUNTS = ("prompt_tokens", "completion_tokens", "judged_tokens")

Arrays = Mapping[str, NDArray[Any]]


def save_traces(path: Path, traces: Sequence[Trace]) -> None:
    """Write the traces of some problems.

    Raises:
        ValueError: a log-probability, a score or a time is not a finite number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    nodes = [node for trace in traces for node in trace.nodes]
    costs = [*(trace.prompt_cost for trace in traces), *(node.cost for node in nodes)]
    texts, answers, score_names = _Table(), _Table(), _Table()
    scored = [
        (number, score_names.number(name), value)
        for number, node in enumerate(nodes)
        for name, value in node.scores.items()
    ]
    arrays: dict[str, NDArray[Any]] = {
        "nodes": _smallest([len(trace.nodes) for trace in traces]),
        "parents": _smallest([-1 if node.parent is None else node.parent for node in nodes]),
        "texts": _smallest([texts.number(node.text) for node in nodes]),
        "answers": _smallest(
            [-1 if node.answer is None else answers.number(node.answer) for node in nodes]
        ),
        "kinds": _smallest([KINDS.index(node.kind) for node in nodes]),
        "authors": _smallest([AUTHORS.index(node.author) for node in nodes]),
        "closed": np.array([node.closed for node in nodes], bool),
        "finishes": _smallest([FINISHES.index(node.finish) for node in nodes]),
        "scored_nodes": _smallest([number for number, _, _ in scored]),
        "score_names": _smallest([name for _, name, _ in scored]),
        "scores": _exact([value for _, _, value in scored]),
        "seconds": _exact([cost.seconds for cost in costs]),
    }
    for name in COUNTS:
        arrays[name] = _smallest([getattr(cost, name) for cost in costs])
    tokens: dict[str, list[tuple[Any, ...]]] = {
        "ids": [node.token_ids for node in nodes],
        "logprobs": [node.logprobs for node in nodes],
        "sampled_logprobs": [node.sampled_logprobs for node in nodes],
    }
    for name, rows in tokens.items():
        flat = [value for row in rows for value in row]
        arrays[name] = _smallest(flat) if name == "ids" else _exact(flat)
        arrays[f"{name}_counts"] = _smallest([len(row) for row in rows])
    document = {
        "format": FORMAT,
        "problems": [trace.problem_id for trace in traces],
        "texts": list(texts.numbers),
        "answers": list(answers.numbers),
        "score_names": list(score_names.numbers),
    }
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    arrays["json"] = np.frombuffer(text.encode("ascii"), np.uint8).copy()
    save_tensors({name: torch.from_numpy(array) for name, array in arrays.items()}, path)


def load_traces(
    path: Path, problems: Sequence[Problem], tokenizer: Tokenizer, style: Style
) -> list[Trace]:
    """Read back what ``save_traces`` wrote for these ``problems``.

    ``tokenizer`` and ``style`` read files of format 1, which held ids and no texts.

    Raises:
        UserError: the file is damaged or was written for other problems.
    """
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES // 2**30} GiB, too large for samples")
    tensors = load_tensors(path)
    try:
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    except TypeError as error:  # a number format that NumPy does not have
        raise UserError(f"{path} is damaged: {error}") from None
    if "json" not in arrays:
        return traces_of_format_1(arrays, path, problems, tokenizer, style)
    try:
        document = _document(arrays)
        if document.problems != [problem.id for problem in problems]:
            raise UserError(f"{path} holds samples of other problems: delete it to sample again")
        _check(arrays, document)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from None
    return _traces(arrays, document)


@dataclass(frozen=True)
class _Document:
    """The JSON part of a file."""

    problems: list[str]
    texts: list[str]
    answers: list[str]
    score_names: list[str]


@dataclass
class _Table:
    """Texts numbered in the order in which they first occur."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def _document(arrays: Arrays) -> _Document:
    """The JSON part, checked.

    Raises:
        ValueError: it is not what ``save_traces`` writes.
    """
    raw = arrays["json"]
    if raw.dtype != np.uint8 or raw.ndim != 1:
        raise ValueError("json is not bytes")
    try:
        found = json.loads(raw.tobytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its texts are not JSON ({error})") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    lists: list[list[str]] = []
    for name in ("problems", "texts", "answers", "score_names"):
        texts = found.get(name)
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"its {name} are not a list of strings")
        lists.append(texts)
    return _Document(*lists)


def _check(arrays: Arrays, document: _Document) -> None:
    """Check that all arrays belong together.

    Raises:
        ValueError: they do not, or reading them would take too much work.
    """
    for name in (*_SIZES, "nodes", "scored_nodes", "score_names", "scores", *_COUNTED):
        if name not in arrays or arrays[name].ndim != 1:
            raise ValueError(f"{name} is missing or has the wrong shape")
        if (name in _FLOATS) != (arrays[name].dtype.kind == "f"):
            raise ValueError(f"{name} holds the wrong kind of numbers")
    n_problems = len(document.problems)
    _within(arrays, "nodes", 0, MAX_NODES)
    n_nodes = int(arrays["nodes"].sum(dtype=np.int64))
    if n_nodes > MAX_NODES:
        raise ValueError(f"it has {n_nodes} nodes, more than {MAX_NODES}")
    sizes = {"nodes": n_problems} | dict.fromkeys(_SIZES, n_nodes)
    sizes |= dict.fromkeys((*COUNTS, "seconds"), n_problems + n_nodes)
    sizes |= dict.fromkeys(("score_names", "scores"), len(arrays["scored_nodes"]))
    for name in _COUNTED:
        _within(arrays, f"{name}_counts", 0, MAX_BYTES)
        sizes[name] = int(arrays[f"{name}_counts"].sum(dtype=np.int64))
    for name, size in sizes.items():
        if len(arrays[name]) != size:
            raise ValueError(f"{name} has {len(arrays[name])} entries instead of {size}")
    for name, limit in (
        ("texts", len(document.texts)),
        ("kinds", len(KINDS)),
        ("authors", len(AUTHORS)),
        ("finishes", len(FINISHES)),
        ("scored_nodes", n_nodes),
        ("score_names", len(document.score_names)),
        ("ids", 2**31),
    ):
        _within(arrays, name, 0, limit)
    _within(arrays, "answers", -1, len(document.answers))
    for name in (*COUNTS, "seconds"):
        _within(arrays, name, 0, 2**53)
    for name in _FLOATS:
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} holds something that is not a finite number")
    _check_parents(arrays["parents"], arrays["nodes"])


def _check_parents(parents: NDArray[Any], counts: NDArray[Any]) -> None:
    start = work = 0
    for count in counts.tolist():
        depths: list[int] = []
        inner = set()
        for index, parent in enumerate(parents[start : start + count].tolist()):
            if not -1 <= parent < index:
                raise ValueError(f"node {index} of a trace has parent {parent}")
            depths.append(1 if parent < 0 else depths[parent] + 1)
            inner.add(parent)
        work += sum(depth for index, depth in enumerate(depths) if index not in inner)
        start += count
    if work > MAX_PATH_NODES:
        raise ValueError(f"its paths have {work} nodes together, more than {MAX_PATH_NODES}")


_SIZES = (
    "parents", "texts", "answers", "kinds", "authors", "closed", "finishes",
    "ids_counts", "logprobs_counts", "sampled_logprobs_counts",
)  # fmt: skip
_COUNTED = ("ids", "logprobs", "sampled_logprobs")
_FLOATS = ("logprobs", "sampled_logprobs", "scores", "seconds")


def _within(arrays: Arrays, name: str, low: int, limit: int) -> None:
    """Raise ``ValueError`` unless every entry is at least ``low`` and below ``limit``."""
    values = arrays[name]
    if len(values) and not (values.min() >= low and values.max() < limit):
        raise ValueError(f"{name} holds a number outside {low} to {limit - 1}")


def _traces(arrays: Arrays, document: _Document) -> list[Trace]:
    scores: dict[int, dict[str, float]] = {}
    for node, name, value in zip(
        *(arrays[n].tolist() for n in ("scored_nodes", "score_names", "scores")), strict=True
    ):
        scores.setdefault(node, {})[document.score_names[name]] = value
    costs = [
        Cost(*row)
        for row in zip(*(arrays[name].tolist() for name in (*COUNTS, "seconds")), strict=True)
    ]
    n_problems = len(document.problems)
    columns = zip(
        arrays["parents"].tolist(),
        (KINDS[kind] for kind in arrays["kinds"].tolist()),
        (document.texts[text] for text in arrays["texts"].tolist()),
        *(_rows(arrays, name) for name in _COUNTED),
        (AUTHORS[author] for author in arrays["authors"].tolist()),
        (bool(closed) for closed in arrays["closed"].tolist()),
        (FINISHES[finish] for finish in arrays["finishes"].tolist()),
        (None if a < 0 else document.answers[a] for a in arrays["answers"].tolist()),
        costs[n_problems:],
        strict=True,
    )
    nodes = [
        Node(
            None if parent < 0 else parent,
            kind, text, ids, logprobs, sampled, author, closed, finish, answer,
            scores.get(number, {}), cost,
        )
        for number, (
            parent, kind, text, ids, logprobs, sampled, author, closed, finish, answer, cost,
        ) in enumerate(columns)
    ]  # fmt: skip
    ends = list(accumulate(arrays["nodes"].tolist(), initial=0))
    return [
        Trace(problem, tuple(nodes[ends[number] : ends[number + 1]]), costs[number])
        for number, problem in enumerate(document.problems)
    ]


def _rows(arrays: Arrays, name: str) -> Iterator[tuple[Any, ...]]:
    """One tuple per node, from an array of all nodes' tokens."""
    flat = arrays[name].tolist()
    start = 0
    for count in arrays[f"{name}_counts"].tolist():
        yield tuple(flat[start : start + count])
        start += count


def _smallest(values: Sequence[int]) -> NDArray[Any]:
    """Integers in the narrowest type that holds all of them."""
    array = np.array(values, np.int64)
    if not len(array):
        return array
    kinds = (np.int8, np.int16, np.int32)
    low, high = int(array.min()), int(array.max())
    fits = (k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return array.astype(next(fits, np.int64))


def _exact(values: Sequence[float]) -> NDArray[Any]:
    """Floats in single precision if that changes none of them, else in double."""
    array = np.array(values, np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a trace holds a number that is not finite, which no file may")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    return single if np.array_equal(single.astype(np.float64), array) else array
