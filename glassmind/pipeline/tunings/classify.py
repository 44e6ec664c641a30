"""Classification: a finished model learns to label texts, and its accuracy is measured.

    train_classifier(recipe, Path("runs/spam"), ...)
    classify(["Win a prize now!"], load_classifier("runs/spam"))

Besides the model, the run's folder then has::

    classifier.safetensors     the head
    classifier.json            its labels
    classification.json        its accuracy on held-out texts, and which labels it confuses
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from glassmind.data.batches.packing import PackedRows, pack
from glassmind.data.labelled import (
    Labelled,
    LabelledSplits,
    label_documents,
    load_labelled,
    problem_texts,
    split_labelled,
)
from glassmind.errors import UserError
from glassmind.interop.load import load_pretrained
from glassmind.interop.pretrained import Pretrained
from glassmind.pipeline.convert import load_any
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.tuning import (
    FineTuning,
    Tuning,
    is_published,
    publish,
    tokenizer_of,
    with_model_of,
)
from glassmind.progress import Progress
from glassmind.runs.checkpoint import load_tensors, save_tensors, sha256
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.models import CLASSIFIER
from glassmind.runs.recipe import Recipe
from glassmind.runs.weights import load_weights, named_weights
from glassmind.serialization import read_record, write_record
from glassmind.statistics import wilson_interval
from glassmind.train.objectives.classify import (
    Classify,
    TextClassifier,
    class_probabilities,
    set_trained,
)
from glassmind.train.validation import validation_loss

HEAD, RESULT = "classifier.safetensors", "classification.json"
MOST_CONFUSED = 12  # with more labels the confusion table does not fit on a screen


@dataclass(frozen=True)
class LoadedClassifier:
    """A trained classifier; ``labels`` in the order of its outputs."""

    pretrained: Pretrained
    classifier: TextClassifier
    labels: tuple[str, ...]
    row_tokens: int


@dataclass(frozen=True)
class Classified:
    """The predicted label of a text, with the probability of every label, the likeliest first."""

    text: str
    label: str
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True)
class KeptClassifier:
    """``classifier.json``: the labels, and the checksum of the head's tensors."""

    labels: tuple[str, ...]
    row_tokens: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """``correct`` of ``n``; ``low`` and ``high`` are the 95 % Wilson interval."""

    correct: int
    n: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Majority:
    """The commonest label of the training texts, and the accuracy of always choosing it."""

    label: str
    validation: Accuracy
    test: Accuracy


@dataclass(frozen=True, slots=True)
class TrainingTexts:
    """The number of texts that the classifier was trained on."""

    n: int


@dataclass(frozen=True, slots=True)
class Classification:
    """``classification.json``. ``confusion[i][j]`` counts texts of label i classified as j."""

    schema: int
    labels: tuple[str, ...]
    train: TrainingTexts
    majority: Majority
    validation: Accuracy
    test: Accuracy
    confusion: tuple[tuple[int, ...], ...]


# --------------------------------------------------------------------------------- training


def train_classifier(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train the recipe's classifier above the model at ``recipe.start``.

    Raises:
        UserError: as ``fine_tune``.
    """
    part = recipe.classify.train
    if (part == "lora") != (recipe.lora.rank > 0):
        raise UserError(
            'lora.rank above 0 and classify.train = "lora" belong together: set both or neither, '
            f"not rank {recipe.lora.rank} with {part!r}"
        )
    started = load_any(recipe.start)
    recipe = with_model_of(recipe, started)
    splits = _splits(recipe, progress)
    labels = sorted({row.label for part in splits for row in part})
    rows = [_rows(part, labels, started, recipe.train.row_tokens) for part in splits]
    run = open_run(folder, recipe, resume=resume, warn=progress.end)
    if is_published(run):
        return run
    n_cut = sum(cut for _, cut in rows)
    if n_cut:
        progress.end(
            f"{n_cut:,} texts have more than {recipe.train.row_tokens} tokens; of these only the "
            "last are read"
        )
    tuning = Tuning(run, recipe, device, progress, "classifier")
    torch.manual_seed(recipe.seed)
    classifier = TextClassifier(started.model, len(labels)).to(device)
    if part != "lora":
        set_trained(classifier, part)
    tuning.prepare(classifier)
    objective = Classify(classifier)
    validate = partial(validation_loss, objective, rows[1][0], device)
    tuning.train(objective, tuning.loader(rows[0][0]), validate)
    result = _measured(classifier, labels, splits, [packed for packed, _ in rows], device)
    write_record(run.path / RESULT, result)
    progress.end(summary(result))
    classifier.cpu()
    head = {n: w for n, w in named_weights(classifier).items() if n.startswith("head.")}
    save_tensors(head, run.path / HEAD)
    kept = KeptClassifier(tuple(labels), recipe.train.row_tokens, sha256(run.path / HEAD))
    write_record(run.path / CLASSIFIER, kept)
    publish(replace(started, model=classifier.trunk, name=run.name), run)
    tuning.forget_checkpoints()
    return run


def _splits(recipe: Recipe, progress: Progress) -> LabelledSplits:
    config = recipe.classify
    if config.file:
        rows = load_labelled(
            config.file,
            config.text_column,
            config.label_column,
            on_bad_row=recipe.on_bad_row,
            say=progress.end,
        )
        splits = split_labelled(rows, recipe.seed)
        for name, part in zip(splits._fields, splits, strict=True):
            if not part:
                raise UserError(
                    f"{config.file} has too few rows ({len(rows)}): none fell into the {name} "
                    "part; give at least some dozens"
                )
        return splits
    if recipe.problems.file:
        raise UserError("problems of a file carry no labels: give classify.file instead")
    slices = make_slices(recipe)
    parts = (slices.train, slices.validation, slices.test)
    return LabelledSplits(*(problem_texts(part, config.task) for part in parts))


def _rows(
    rows: Sequence[Labelled], labels: Sequence[str], started: Pretrained, most: int
) -> tuple[PackedRows, int]:
    ids = _ids([row.text for row in rows], started)
    documents, cut = label_documents(rows, ids, labels, most)
    return pack(documents, most, pad_id=0), cut


def _ids(texts: Sequence[str], pretrained: Pretrained) -> list[list[int]]:
    """Each text's tokens, after the token that begins a text, if the model expects one."""
    before = [] if pretrained.bos_id is None else [pretrained.bos_id]
    return [[*before, *ids] for ids in tokenizer_of(pretrained).encode_batch(texts)]


def _measured(
    classifier: TextClassifier,
    labels: Sequence[str],
    splits: LabelledSplits,
    rows: Sequence[PackedRows],
    device: torch.device,
) -> Classification:
    """Its accuracy on texts that it was not trained on."""
    common, _ = Counter(row.label for row in splits.train).most_common(1)[0]
    right, usual = [], []
    for packed in rows[1:]:
        probabilities, expected = class_probabilities(classifier, packed, device)
        found = probabilities.argmax(dim=-1)
        right.append(_accuracy(int((found == expected).sum()), len(expected)))
        usual.append(_accuracy(int((expected == labels.index(common)).sum()), len(expected)))
    pairs = expected * len(labels) + found  # of the test part
    table = torch.bincount(pairs, minlength=len(labels) ** 2).view(len(labels), -1)
    return Classification(
        schema=1,
        labels=tuple(labels),
        train=TrainingTexts(len(splits.train)),
        majority=Majority(common, *usual),
        validation=right[0],
        test=right[1],
        confusion=tuple(map(tuple, table.tolist())),
    )


def _accuracy(correct: int, n: int) -> Accuracy:
    low, high = wilson_interval(correct, n)
    return Accuracy(correct, n, correct / n, low, high)


def summary(result: Classification) -> str:
    """The result in words, and the confusion table."""
    lines = []
    majority = result.majority
    for name, part, usual in (
        ("validation", result.validation, majority.validation),
        ("test", result.test, majority.test),
    ):
        lines.append(
            f"{name}: {part.accuracy:.1%} of {part.n} right (95 % interval {part.low:.1%} "
            f"to {part.high:.1%}); always {majority.label!r}: {usual.accuracy:.1%}"
        )
    labels = [label if len(label) <= 12 else label[:11] + "…" for label in result.labels]
    if len(labels) <= MOST_CONFUSED:
        widths = [max(5, len(label)) for label in labels]
        first = max(map(len, labels))
        cells = "  ".join(f"{label:>{w}}" for label, w in zip(labels, widths, strict=True))
        lines.append(f"{'':<{first}}  {cells}")
        for label, row in zip(labels, result.confusion, strict=True):
            cells = "  ".join(f"{n:>{w}}" for n, w in zip(row, widths, strict=True))
            lines.append(f"{label:<{first}}  {cells}")
        lines.append("(rows: what it is; columns: what the model said)")
    return "\n".join(lines)


# -------------------------------------------------------------------------------------- use


def load_classifier(source: str | Path) -> LoadedClassifier:
    """The classifier of a finished run, in evaluation mode.

    Raises:
        UserError: there is none, or its files are damaged.
    """
    folder = Path(source)
    if not (folder / CLASSIFIER).is_file() or not (folder / "config.json").is_file():
        raise UserError(
            f"{source} is not a run with a finished classifier: `glassmind train classify` makes "
            "one"
        )
    kept = read_record(KeptClassifier, folder / CLASSIFIER)
    labels, row_tokens = kept.labels, kept.row_tokens
    pretrained = load_pretrained(folder)
    if not labels or not 1 <= row_tokens <= pretrained.model.config.max_tokens:
        raise UserError(
            f"{folder / CLASSIFIER} must name labels, and row_tokens within the context"
        )
    tensors = load_tensors(folder / HEAD)
    if kept.sha256 != sha256(folder / HEAD):
        raise UserError(f"{folder / HEAD} does not match its checksum")
    classifier = TextClassifier(pretrained.model, len(labels))
    head = {name.removeprefix("head."): tensor for name, tensor in tensors.items()}
    load_weights(classifier.head, head, str(folder / HEAD))
    return LoadedClassifier(pretrained, classifier.eval(), labels, row_tokens)


def classify(texts: Sequence[str], loaded: LoadedClassifier) -> list[Classified]:
    """The predicted label of each text.

    Raises:
        UserError: a text is empty.
    """
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise UserError(f"text {number} is empty: there is nothing to classify")
    rows = [Labelled(text.strip(), loaded.labels[0]) for text in texts]
    ids = _ids([row.text for row in rows], loaded.pretrained)
    documents, _ = label_documents(rows, ids, loaded.labels, loaded.row_tokens)
    found: list[Classified] = []
    device = next(loaded.classifier.parameters()).device
    for text, document in zip(texts, documents, strict=True):
        alone = pack([document], len(document), pad_id=0)
        probabilities, _ = class_probabilities(loaded.classifier, alone, device)
        shares = np.asarray(probabilities[0].tolist())
        order = np.argsort(-shares, kind="stable")
        named = {loaded.labels[n]: float(shares[n]) for n in order}
        found.append(Classified(text, next(iter(named)), named))
    return found


FINE_TUNING = FineTuning(train_classifier)
