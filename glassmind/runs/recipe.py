"""A recipe: every number of a run, in one tree of dataclasses, read from one TOML file.

The tree's shape is the file's shape: ``Recipe.train.steps`` is ``steps`` under ``[train]``. Values
that the file leaves out have the defaults written here, ``--set train.steps=300`` changes a value
from the command line, and the resolved tree is written into the run's folder, so that a run can be
repeated from its own files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal

import tomli_w

from glassmind.data.generator import ProblemDial
from glassmind.data.problems.column_mapping import ProblemColumns
from glassmind.data.rows.bad_rows import OnBadRow
from glassmind.errors import UserError
from glassmind.model import ModelConfig
from glassmind.serialization import decode, encode_toml, parse_toml, read_toml

MOST_SAMPLES = 1024
"""What one request may ask of the engine; a recipe that asks for more is refused at once."""

CalculatorUse = Literal["off", "annotations", "equations"]
"""What a calculator completes during sampling: nothing, annotations such as ``<<48/2=``, or every
equation in plain text, ``48/2=``."""


def calculator_use(given: bool | CalculatorUse) -> CalculatorUse:
    """The value in words: ``true`` is short for ``"annotations"``, ``false`` for ``"off"``."""
    if isinstance(given, bool):
        return "annotations" if given else "off"
    return given


Options = dict[str, bool | int | float | str]
"""The options of an objective, by name; the objective's own dataclass says what they mean."""


def _at_least(record: object, minimum: int, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if value < minimum:
            raise ValueError(f"{name} must be at least {minimum}, not {value}")


def _at_most(record: object, maximum: int, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if value > maximum:
            raise ValueError(f"{name} must be at most {maximum}, not {value}")


def _within(record: object, low: float, high: float, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if not low <= value <= high:  # a NaN fails this too
            raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {value}")


def _temperature(record: SamplingConfig | VerifierConfig | ReinforceConfig) -> None:
    _within(record, 0, 100, "temperature")
    if 0 < record.temperature < 1e-4:
        raise ValueError(
            f"temperature must be 0 (greedy) or 0.0001 and up, not {record.temperature}"
        )


@dataclass(frozen=True)
class SolutionsConfig:
    """How far training solutions depart from the canonical one: probabilities in [0, 1].

    A model trained on several valid ways to write a solution makes different errors in its samples,
    so that a vote over them can correct errors that one canonical way would repeat.
    """

    regroup: float = 0.3
    reorder: float = 0.3
    swap: float = 0.3

    def __post_init__(self) -> None:
        _within(self, 0, 1, "regroup", "reorder", "swap")


@dataclass(frozen=True)
class ProblemsConfig:
    """Which problems: generated ones (``dial`` says how hard), or ``file``.

    ``file`` holds one's own problems (JSONL, JSON, CSV, TSV, parquet, or a folder of these), or is
    a name of ``data.problems.sets`` (``"gsm8k"``, ``"math"``), whose files lie below
    ``GLASSMIND_DATA``. ``columns`` are the names of its columns, where they are not the usual ones.
    The counts are those of generated problems; a file is split by a hash of its questions.
    ``joined`` is the probability that two training problems are told and solved as one
    (``data.problems.joined``), which helps with problems longer than any in training.
    """

    file: str = ""
    columns: ProblemColumns = field(default_factory=ProblemColumns)
    train: int = 60_000
    validation: int = 500
    test: int = 2_000
    longer: int = 500
    reworded: int = 500
    dial: ProblemDial = field(default_factory=ProblemDial)
    solutions: SolutionsConfig = field(default_factory=SolutionsConfig)
    joined: float = 0.0

    def __post_init__(self) -> None:
        _within(self, 0, 1, "joined")
        _at_least(self, 1, "train", "validation", "test")
        _at_least(self, 0, "longer", "reworded")


@dataclass(frozen=True)
class TokenizerConfig:
    """``kind`` is ``bpe`` or ``char``; ``vocab_size`` counts bytes, merges and special tokens.

    ``training_texts`` bounds how many problems the tokenizer is trained on; ``file`` takes a
    finished ``tokenizer.json`` instead.
    """

    kind: Literal["bpe", "char"] = "bpe"
    vocab_size: int = 1024
    training_texts: int = 20_000
    file: str = ""

    def __post_init__(self) -> None:
        _at_least(self, 264, "vocab_size")
        _at_least(self, 1, "training_texts")


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Learning rates are peaks; ``schedule`` shapes them over ``steps``.

    A batch is ``batch_rows`` rows of ``row_tokens`` tokens, taken ``accumulate`` times before each
    step. ``muon_lr`` is for hidden matrices (0 trains them with AdamW too), ``adamw_lr`` for the
    rest. ``precision`` and ``compile``, where ``auto``, and the number of CPU ``threads``, where 0,
    are measured at the start of a run that is long enough (``train.arithmetic.calibration``).
    Processes started by torchrun share each batch: with ``ddp`` (``auto``) each has the whole
    model, ``fsdp`` splits it; see docs/SCALING-OUT.md. ``checkpoint_minutes`` is the most work that
    a crash can lose; ``weights`` says whether the finished model has the weights of the last step
    or of the lowest validation loss. ``on_nan`` and ``on_spike`` are policies of
    ``train.watching.guard``; a loss is a spike ``spike_sigmas`` standard deviations above the ones
    before. Every ``inspect_every`` steps (0: never) gradients, updates and activations of each
    layer are recorded; ``trackers`` get the figures beside ``metrics.jsonl``.
    """

    steps: int = 1000
    batch_rows: int = 32
    row_tokens: int = 192
    accumulate: int = 1
    muon_lr: float = 0.02
    adamw_lr: float = 3e-3
    weight_decay: float = 0.0
    clip: float = 1.0
    schedule: Literal["cosine", "stable-decay"] = "stable-decay"
    warmup: int = 20
    decay_fraction: float = 0.5
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    threads: int = 0
    recompute: bool = False
    parallel: Literal["auto", "none", "ddp", "fsdp"] = "auto"
    log_every: int = 10
    validate_every: int = 100
    checkpoint_minutes: float = 1.0
    keep_checkpoints: int = 2
    weights: Literal["last", "best"] = "last"
    on_nan: Literal["stop", "skip", "rewind"] = "stop"
    on_spike: Literal["note", "stop", "skip", "rewind"] = "note"
    spike_sigmas: float = 6.0
    inspect_every: int = 0
    trackers: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = ()

    def __post_init__(self) -> None:
        _at_least(self, 1, "steps", "batch_rows", "accumulate", "keep_checkpoints")
        _at_least(self, 1, "log_every", "validate_every")
        _at_least(self, 2, "row_tokens")
        _at_least(self, 0, "warmup", "inspect_every")
        _within(self, 0, 4096, "threads")
        _within(self, 0, 10, "muon_lr", "adamw_lr", "weight_decay")
        _within(self, 0, 1, "decay_fraction")
        _within(self, 0, 1e9, "clip", "checkpoint_minutes")
        _within(self, 1, 1e9, "spike_sigmas")


@dataclass(frozen=True)
class FilterConfig:
    """What is removed from a pretraining text before it is used; by default nothing.

    If the Jaccard index of two documents' word 5-grams is ``near_duplicates`` or more, the later
    one is removed (0 keeps all). ``against`` names evaluations (``"gsm8k"``, ``"math"``, a JSONL of
    problems, a text): passages that share ``ngram`` consecutive words with one of them are removed.
    """

    near_duplicates: float = 0.0
    against: tuple[str, ...] = ()
    ngram: int = 13

    def __post_init__(self) -> None:
        _within(self, 0, 1, "near_duplicates")
        _within(self, 2, 1000, "ngram")


@dataclass(frozen=True)
class PretrainConfig:
    r"""A pretraining text, or none, and the text to validate on.

    ``file`` is a file, a folder, a glob, or ``hub:NAME``. ``.txt`` and ``.md`` files are UTF-8
    text, ``field`` is read from ``.jsonl`` and ``.parquet`` files, and ``.gz`` and ``.xz`` are
    unpacked. ``separator`` is the text between the documents of a text file (``\x1e`` may be
    spelled out); if it is empty, a file is one document. After training, the loss is measured on
    ``validation_file`` (of the same kinds), or else on ``validation_fraction`` of the characters,
    which are taken from the end and not trained on. ``document_mask`` keeps attention, loss and
    positions within a document; without it, only the end token separates documents.
    """

    file: str = ""
    field: str = "text"
    separator: str = ""
    validation_file: str = ""
    validation_fraction: float = 0.1
    document_mask: bool = False
    filter: FilterConfig = FilterConfig()

    def __post_init__(self) -> None:
        _within(self, 0, 0.5, "validation_fraction")


@dataclass(frozen=True)
class SamplingConfig:
    """How chains are sampled: ``samples`` for each problem at ``temperature``.

    With ``calculator`` set to ``"equations"``, the results of equations such as ``48/2=`` are
    computed exactly while a model writes (``generate.equation_calculator``). With ``"annotations"``
    (or ``true``), a model that is trained on worked solutions sees equations as ``<<48/2=24>>``,
    and those are computed (``generate.calculator``).

    A few chains are scored again as the trainer would. If a token's log-probability then differs
    from the engine's by more than ``most_logprob_diff`` nats, the run warns or stops, depending on
    ``on_logprob_diff``.
    """

    samples: int = 16
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    max_new_tokens: int = 128
    max_rows: int = 4096
    calculator: bool | CalculatorUse = False
    most_logprob_diff: float = 0.02
    on_logprob_diff: Literal["warn", "stop"] = "warn"

    def __post_init__(self) -> None:
        _at_least(self, 1, "samples", "max_new_tokens", "max_rows")
        _within(self, 0, 100, "most_logprob_diff")
        _at_most(self, MOST_SAMPLES, "samples")
        _at_least(self, 0, "top_k")
        _temperature(self)
        _within(self, 0, 1, "top_p")
        if self.top_p == 0:
            raise ValueError("top_p must be above 0")


@dataclass(frozen=True)
class VerifierConfig:
    """The verifier: sampled on ``problems`` training problems, ``samples`` chains each.

    The chains are drawn at ``temperature``. The loss is the judgement of every step (binary
    cross-entropy), plus ``pair_weight`` times the ranking of right above wrong chains of the same
    problem, plus ``language_weight`` times the language-model loss on right chains. If that weight
    is 0, the trunk is not changed and only the judge learns, at a fraction of the cost.
    ``branches`` chains share one question in a training row; ``layers`` is the depth of the judge.
    With ``facts``, the judge's belief is weighed against what exact checks find out about each step
    (``reason.weighing``), which is fitted on an eighth of the problems that the judge has not seen.
    """

    problems: int = 4_000
    samples: int = 8
    temperature: float = 1.0
    branches: int = 6
    layers: int = 2
    pair_weight: float = 1.0
    language_weight: float = 0.0
    facts: bool = False
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=300))

    def __post_init__(self) -> None:
        _at_least(self, 1, "problems", "samples", "branches")
        _at_most(self, MOST_SAMPLES, "samples")
        _at_least(self, 0, "layers")
        _temperature(self)
        _within(self, 0, 100, "pair_weight", "language_weight")
        if self.train.weights == "best":  # before hours of sampling
            raise ValueError(
                'train.weights must be "last": a verifier learns from all of its chains, and none '
                "are held out to choose the best weights by"
            )


@dataclass(frozen=True)
class ReinforceConfig:
    """The last stage of a ladder, if it is ``on``: the chain-of-thought model learns from rewards
    of its own chains, drawn at ``temperature`` (``pipeline.reinforce``). ``options`` are those of
    the objective ``grpo``.
    """

    on: bool = False
    temperature: float = 1.0
    options: Options = field(default_factory=dict)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=80, batch_rows=1))

    def __post_init__(self) -> None:
        _temperature(self)
        if self.temperature == 0:
            raise ValueError("temperature must be above 0: all chains would be equal")


@dataclass(frozen=True)
class SupervisionConfig:
    """Attention that is told where to look (``train.objectives.dependencies``), if ``weight`` is
    above 0.

    In each of ``layers`` (from 0), head number ``head`` is drawn to the number that the next
    operand comes from. The weight is that of this loss next to the language model's.
    """

    weight: float = 0.0
    layers: tuple[int, ...] = (1,)
    head: int = 0

    def __post_init__(self) -> None:
        _within(self, 0, 100, "weight")
        _at_least(self, 0, "head")
        if not self.layers or min(self.layers) < 0:
            raise ValueError("layers must name at least one layer, counted from 0")


EVERY_LAYER = "all"


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank fine-tuning (``train.lora``); ``rank`` 0 is off, and all weights are trained.

    The change of a layer is scaled by ``alpha`` / rank, or with ``rank_stabilized`` by its root.
    ``targets`` are names of linear layers in a block (query, key, value, output, up, gate, down),
    or ``"all"``. ``base`` says how the frozen weights are stored while training. The factors
    are trained by AdamW, whatever ``train.muon_lr`` says.
    """

    rank: int = 0
    alpha: float = 16.0
    targets: tuple[str, ...] = (EVERY_LAYER,)
    dropout: float = 0.0
    rank_stabilized: bool = False
    base: Literal["float", "nf4", "int8"] = "float"

    def __post_init__(self) -> None:
        _at_least(self, 0, "rank")
        _within(self, 0, 1e6, "alpha")
        _within(self, 0, 0.99, "dropout")
        if self.alpha == 0:
            raise ValueError("alpha must be above 0: with 0 nothing would be learned")
        if not self.targets:
            raise ValueError(f'targets must name a layer, or be ["{EVERY_LAYER}"]')


@dataclass(frozen=True)
class FinetuneConfig:
    """The parts of a finished model that are not trained.

    ``freeze`` are names of tensors, or of modules for all of their tensors; ``*`` matches any part
    of a name: ``["embed", "blocks.0", "blocks.*.attention"]``.
    """

    freeze: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChatsConfig:
    """Conversations to learn from: a ``file`` of rows (``data.chats``), or, without one, the
    recipe's generated problems, told as conversations.

    ``template`` is a file with a Jinja chat template, where the model's own is missing or not
    wanted. ``turns`` says whether every answer is learned or only the last of a conversation.
    ``validation_fraction`` of a file's conversations is kept aside to measure on.
    """

    file: str = ""
    template: str = ""
    turns: Literal["all", "last"] = "all"
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        _within(self, 0, 0.5, "validation_fraction")


@dataclass(frozen=True)
class ClassifyConfig:
    """Texts with labels: a ``file`` of rows (``data.labelled``), or else generated problems.

    Columns are given by name, or by number (from 1) where the file has no line of names. Generated
    problems are told apart by the ``task``: the operation of their last step, or the kind of story.
    ``train`` says what learns beside the new head: nothing, the last block, everything, or the
    factors of ``[lora]``.
    """

    file: str = ""
    text_column: str = "text"
    label_column: str = "label"
    task: Literal["operation", "story"] = "operation"
    train: Literal["head", "last-block", "all", "lora"] = "last-block"


@dataclass(frozen=True)
class Recipe:
    """Everything a run needs to be repeated on the same machine, bit for bit.

    ``objective`` says how the model is trained: ``sft`` and ``pretrain``, or another kind of
    fine-tuning, which may take ``options``.

    ``start`` is a finished model to start from instead of random weights: a run's folder, a Hugging
    Face model, a GGUF file, or the name of a shipped model. The model and the tokenizer are then
    those of ``start``, and ``[model]`` and ``[tokenizer]`` are ignored.

    ``on_bad_row`` says what becomes of a file of problems, conversations or labelled texts in which
    some rows cannot be used: it is refused, or the run goes on without them and says which.
    """

    name: str = "unnamed"
    about: str = ""
    seed: int = 0
    objective: str = "sft"
    start: str = ""
    style: Literal["chain", "direct"] = "chain"
    on_bad_row: OnBadRow = "stop"
    problems: ProblemsConfig = field(default_factory=ProblemsConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    supervision: SupervisionConfig = field(default_factory=SupervisionConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    verifier: VerifierConfig = field(default_factory=VerifierConfig)
    reinforce: ReinforceConfig = field(default_factory=ReinforceConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    chats: ChatsConfig = field(default_factory=ChatsConfig)
    classify: ClassifyConfig = field(default_factory=ClassifyConfig)
    options: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        _at_least(self, 0, "seed")


def shipped_recipes() -> dict[str, str]:
    """Name -> one-line description of the recipes inside the package."""
    found = {}
    for entry in sorted((resources.files("glassmind") / "recipes").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            about = parse_toml(entry.read_text("utf-8"), entry.name).get("about", "")
            found[entry.name.removesuffix(".toml")] = str(about)
    return found


def packaged_recipe(name: str) -> Recipe | None:
    """The recipe of that name that comes with the package, whatever lies in this folder."""
    if name not in shipped_recipes():
        return None
    where = f"recipe {name}"
    return decode(Recipe, parse_toml(_packaged_text(name), where), where)


def _packaged_text(name: str) -> str:
    return (resources.files("glassmind") / "recipes" / f"{name}.toml").read_text("utf-8")


def read_recipe(name_or_path: str) -> Recipe:
    """Read a recipe from a TOML file, a run's folder, or one of the package's own by name.

    Raises:
        UserError: there is no such recipe, it is not TOML, or it has an unknown key or bad value.
    """
    path = Path(name_or_path)
    if path.is_dir() and (path / "recipe.toml").is_file():
        path = path / "recipe.toml"
    where = f"recipe {name_or_path}"
    if path.is_file():
        values = read_toml(path, where)
    elif name_or_path in shipped_recipes():
        values = parse_toml(_packaged_text(name_or_path), where)
    else:
        raise UserError(
            f"there is no recipe {name_or_path!r}: give a TOML file, a run's folder, or one of "
            f"{', '.join(shipped_recipes())}"
        )
    return decode(Recipe, values, where)


def recipe_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML, every value written out."""
    return tomli_w.dumps(encode_toml(recipe))
