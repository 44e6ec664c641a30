"""The stages of a run. Each saves its result and is not repeated when the run is resumed."""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial

import torch

from glassmind.data.batches.loader import RowLoader, Rows
from glassmind.data.batches.packing import Document, pack
from glassmind.errors import UserError
from glassmind.generate import SamplingParams, logprob_difference
from glassmind.grade.chain_features import FEATURES
from glassmind.llm import LocalLLM
from glassmind.model import TokenScorer, Transformer
from glassmind.progress import Progress, watched
from glassmind.reason.session import Session
from glassmind.reason.verifier_documents import training_documents
from glassmind.reason.verify import fit_weighing
from glassmind.records import Completion, Problem, Trace
from glassmind.runs.folder import RunFolder
from glassmind.runs.models import (
    REINFORCED,
    VERIFIER,
    load,
    load_model,
    save_model,
    with_vocabulary,
)
from glassmind.runs.recipe import Recipe, SamplingConfig
from glassmind.runs.samples import load_traces, save_traces
from glassmind.runs.weights import load_weights, named_weights
from glassmind.tokenize import SavedTokenizer, Style
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.special import END, PAD
from glassmind.train import Pretrain, SupervisedFineTuning, Trainer, Verify, validation_loss
from glassmind.train.objectives.dependencies import GuidedFineTuning
from glassmind.train.processes.process_group import ProcessGroup
from glassmind.train.watching.metrics_file import MetricsFile

# A run has one seed; these derive a separate one for each use.
SAMPLE_TRAINING, SAMPLE_TESTS, GREEDY = 1, 2, 3
SCORED_AGAIN = 8  # chains of each sampling whose log-probabilities the trainer checks
WEIGHED = 1 / 8  # the share of the verifier's problems that its weighing is fitted on
STYLES: dict[str, Style] = {"direct": "direct", "chain-of-thought": "chain"}


@dataclass(frozen=True)
class Job:
    """What every stage needs: the run, its recipe and tokenizer, the device and the display."""

    run: RunFolder
    recipe: Recipe
    tokenizer: SavedTokenizer | ComposedTokenizer
    device: torch.device
    progress: Progress
    group: ProcessGroup = field(default_factory=ProcessGroup)

    def done(self, stage: str) -> bool:
        return (self.run.model_folder(stage) / "model.json").is_file()

    def forget_checkpoints(self, stage: str) -> None:
        """Delete the checkpoints of a finished stage, which are only needed to resume."""
        if not self.group.is_first:
            return
        shutil.rmtree(self.run.path / "checkpoints" / stage, ignore_errors=True)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Record the wall-clock time of a stage in ``run.json``, even if it is interrupted."""
        started = time.monotonic()
        try:
            yield
        finally:
            if self.group.is_first:
                self.run.add_seconds(stage, time.monotonic() - started)


def fresh_model(job: Job) -> Transformer:
    """The recipe's model with the run's initial weights, or those of ``start`` if it names a model.
    They are the same at every call."""
    torch.manual_seed(job.recipe.seed)
    model = Transformer(with_vocabulary(job.recipe.model, job.tokenizer))
    if job.recipe.start:
        load_weights(model, named_weights(load(job.recipe.start).model), job.recipe.start)
    return model.to(job.device)


def train_language_model(
    job: Job,
    stage: str,
    make_rows: Callable[[], Rows],
    held_out: Rows | None = None,
) -> Transformer:
    """Train (or resume, or load) the model of ``stage`` from the run's initial weights.

    Direct answer and chain of thought start from the same weights and spend the same steps on
    batches of the same shape, so they spend the same floating-point operations.
    """
    folder = job.run.model_folder(stage)
    if job.done(stage):
        return loaded_transformer(job, stage)
    recipe = job.recipe
    model = fresh_model(job)
    objective = Pretrain(model) if stage == "pretrain" else fine_tuning(recipe, stage, model)
    validate = None
    if held_out is not None:
        validate = partial(
            validation_loss, job.group.for_evaluation(objective), held_out, job.device
        )
    with job.timed(stage):
        loader = RowLoader(make_rows(), recipe.train.batch_rows, recipe.seed)
        trainer = Trainer(
            objective,
            loader,
            recipe.train,
            stage=stage,
            folder=job.run.path,
            device=job.device,
            progress=job.progress,
            validate=validate,
            group=job.group,
        )
        trainer.train()
        whole = job.group.full_model(model)
        if job.group.is_first:
            save_model(folder, whole, job.tokenizer, stage)
        job.group.barrier()
        job.forget_checkpoints(stage)
    return loaded_transformer(job, stage)


def fine_tuning(recipe: Recipe, stage: str, model: Transformer) -> SupervisedFineTuning:
    """Learning from worked solutions, with ``[supervision]`` if the stage writes their steps."""
    config = recipe.supervision
    if config.weight == 0 or STYLES[stage] != "chain":
        return SupervisedFineTuning(model)
    if recipe.train.parallel == "fsdp":
        raise UserError(
            "supervision.weight reads single heads, which no process has whole with train.parallel "
            '"fsdp": set it to "ddp", or the weight to 0'
        )
    return GuidedFineTuning(model, weight=config.weight, layers=config.layers, head=config.head)


def loaded_transformer(job: Job, stage: str) -> Transformer:
    """The finished model of a stage, loaded from the run's folder."""
    model = load_model(job.run.model_folder(stage), job.tokenizer, job.device)
    if not isinstance(model, Transformer):
        raise UserError(f"{job.run.model_folder(stage)} holds a scorer, not a language model")
    return model


def kept(
    job: Job,
    name: str,
    problems: Sequence[Problem],
    style: Style,
    make: Callable[[], list[Trace]],
    llm: LocalLLM | None = None,
) -> list[Trace]:
    """The traces that ``make`` returns, or those that an earlier process saved in the run.

    If ``llm`` has sampled them, a few are scored again as the trainer does.
    """
    path = job.run.path / "samples" / f"{name}.safetensors"
    if path.is_file():
        return load_traces(path, problems, job.tokenizer, style)
    with job.timed(f"sample {name}"):
        traces = make()
    if llm is not None and job.group.is_first:
        check_agreement(job, f"sample {name}", llm, problems, traces, style)
    save_traces(path, traces)
    return traces


def stage_llm(job: Job, stage: str, model: Transformer, style: Style | None = None) -> LocalLLM:
    """The ``model`` of a stage as an ``LLM``; its weights are packed once."""
    return LocalLLM(
        name=stage,
        model=model,
        tokenizer=job.tokenizer,
        format="question",
        stop_ids=frozenset({job.tokenizer.special[END]}),
        style=style or STYLES[stage],
        recipe=job.recipe,
        run=job.run,
        default_sampling=job.recipe.sampling,
    )


def check_agreement(
    job: Job,
    stage: str,
    llm: LocalLLM,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    style: Style,
) -> None:
    """Score a few chains again as the trainer does, and log the difference in ``metrics.jsonl``.

    Raises ``UserError`` if it is above the recipe's bound and the recipe says to stop.
    """
    prompts: list[list[int]] = []
    chains: list[Completion] = []
    for problem, trace in zip(problems, traces, strict=True):
        if len(chains) == SCORED_AGAIN:
            break
        if trace.completions and trace.completions[0].token_ids:
            prompts.append(llm.prompt(problem.question, style))
            chains.append(trace.completions[0])
    if not chains:
        return
    difference = logprob_difference(llm.model, prompts, chains)
    metrics = MetricsFile(job.run.path / "metrics.jsonl", stage)
    metrics.forget_stage()
    metrics.append(0, {"engine_trainer_logprob_diff": asdict(difference)})
    config = job.recipe.sampling
    if difference.max <= config.most_logprob_diff:  # false for NaN
        return
    message = (
        f"{stage}: the engine's log-probability of a token is {difference.max:.2g} nats from the "
        f"trainer's, more than sampling.most_logprob_diff ({config.most_logprob_diff:g})"
    )
    if config.on_logprob_diff == "stop":
        raise UserError(f"{message}; raise it, or set sampling.on_logprob_diff to warn")
    job.progress.end(message)


def slice_session(
    job: Job,
    slice: str,
    problems: Sequence[Problem],
    models: Sequence[LocalLLM],
    reinforced: LocalLLM | None = None,
) -> Session:
    """The session that the methods share on the problems of one slice.

    The traces of all of its problems are saved in the run.
    """
    whole, sampling = list(problems), job.recipe.sampling

    def keep(
        name: str, problems: Sequence[Problem], style: Style, make: Callable[[], list[Trace]]
    ) -> list[Trace]:
        if list(problems) != whole:
            return make()
        sampled = next(llm for llm in models if llm.style == style)
        if reinforced is not None and name.startswith(f"{REINFORCED}-"):
            sampled = reinforced
        # Chains that were sampled, and compared, before; and trees, whose spans a tool may correct.
        other = "-judged-" in name or "-searched-" in name
        return kept(job, f"{slice}-{name}", problems, style, make, None if other else sampled)

    return Session(
        models,
        SamplingParams.of(sampling, seed=_seed(job, GREEDY), greedy=True),
        SamplingParams.of(sampling, seed=_seed(job, SAMPLE_TESTS)),
        keep=keep,
        progress=job.progress,
        label=f"{slice}-",
        reinforced=reinforced,
    )


def _seed(job: Job, use: int) -> int:
    return job.recipe.seed * 16 + use


def train_verifier(job: Job, llm: LocalLLM, train: Sequence[Problem]) -> TokenScorer:
    """Sample training problems, grade every step, train a scorer above a copy of its weights.

    The problems are the last of the training set, which the model has seen least.
    """
    if job.done(VERIFIER):
        return loaded_scorer(job, llm)
    config = job.recipe.verifier
    problems = train[-config.problems :]
    sampling = SamplingConfig(
        samples=config.samples,
        temperature=config.temperature,
        max_new_tokens=job.recipe.sampling.max_new_tokens,
        calculator=job.recipe.sampling.calculator,
    )
    params = SamplingParams.of(sampling, seed=_seed(job, SAMPLE_TRAINING))

    def make() -> list[Trace]:
        total = len(problems) * params.samples
        with watched(job.progress, "sampling verifier-training", total, "chains") as watch:
            return llm.sample(problems, params, "chain", watch)

    traces = kept(job, "verifier-training", problems, "chain", make, llm)
    with job.timed(VERIFIER):
        aside = math.ceil(WEIGHED * len(problems)) if config.facts else 0
        learned = len(problems) - aside
        documents = training_documents(
            job.tokenizer,
            problems[:learned],
            traces[:learned],
            config.train.row_tokens,
            config.branches,
            prompt=lambda question: llm.prompt(question, "chain"),
        )
        torch.manual_seed(job.recipe.seed)
        trunk = Transformer(llm.model.config)
        load_weights(trunk, named_weights(llm.model), "the chain-of-thought model")
        scorer = TokenScorer(trunk, config.layers, FEATURES if config.facts else 0)
        if documents:
            _train_scorer(job, scorer, documents, _end_id(llm, traces))
            if aside:
                fit_weighing(
                    scorer,
                    job.tokenizer,
                    problems[learned:],
                    traces[learned:],
                    prompt=lambda question: llm.prompt(question, "chain"),
                )
        else:  # without a finished chain there is nothing to judge, and every score is 0.5
            job.progress.end("the model finished no chain, so the verifier stays untrained")
        trunk_stage = "" if config.language_weight > 0 else "chain-of-thought"
        folder = job.run.model_folder(VERIFIER)
        save_model(folder, scorer, job.tokenizer, VERIFIER, trunk_stage)
        job.forget_checkpoints(VERIFIER)
    return loaded_scorer(job, llm)


def _end_id(llm: LocalLLM, traces: Sequence[Trace]) -> int:
    """The token that ends a chain: if there are several, the one that ends most chains."""
    chains = [c for trace in traces for c in trace.completions]
    ends = Counter(c.token_ids[-1] for c in chains if c.finish == "stop" and c.token_ids)
    return ends.most_common(1)[0][0] if ends else min(llm.stop_ids)


def _train_scorer(
    job: Job, scorer: TokenScorer, documents: Sequence[Document], end_id: int
) -> None:
    config = job.recipe.verifier
    rows = pack(documents, config.train.row_tokens, job.tokenizer.special.get(PAD, 0))
    batch_rows = min(config.train.batch_rows, len(rows))
    objective = Verify(
        scorer,
        end_id,
        pair_weight=config.pair_weight,
        language_weight=config.language_weight,
    )
    Trainer(
        objective,
        RowLoader(rows, batch_rows, job.recipe.seed),
        config.train,
        stage=VERIFIER,
        folder=job.run.path,
        device=job.device,
        progress=job.progress,
    ).train()


def loaded_scorer(job: Job, llm: LocalLLM) -> TokenScorer:
    """The finished verifier, on top of the weights of ``llm`` unless it has its own trunk."""
    folder = job.run.model_folder(VERIFIER)
    scorer = load_model(folder, job.tokenizer, job.device, llm.model)
    if not isinstance(scorer, TokenScorer):
        raise UserError(f"{job.run.model_folder(VERIFIER)} holds a language model, not a scorer")
    return scorer
