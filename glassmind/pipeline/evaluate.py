"""Grade a model on a task: generated problems, GSM8K files, or your own.

Any model that can be asked can be graded. It answers with every method whose needs it meets, or
with the methods that are named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from glassmind.data import PROBLEM_SETS
from glassmind.data.pretraining.contamination import seen_in_training
from glassmind.data.problems.column_mapping import FOUND, ProblemColumns
from glassmind.data.rows.bad_rows import OnBadRow, silence
from glassmind.errors import UserError
from glassmind.evaluate.graded_problems import GradedProblem, graded_problems
from glassmind.evaluate.ladder.grading import same_answer
from glassmind.evaluate.ladder.names import is_ceiling
from glassmind.evaluate.ladder.rewards import reward_row
from glassmind.evaluate.ladder.rows import ladder_row
from glassmind.evaluate.run_files import SCHEMA, Ladder
from glassmind.evaluate.seen import SeenReport, seen_report
from glassmind.generate import SamplingParams
from glassmind.grade.symbolic import Comparisons, comparisons
from glassmind.llm import LLM, LocalLLM, Source, as_llm
from glassmind.llm.prompts import PLACE, chosen_examples
from glassmind.pipeline.announcement import announce, answering_work
from glassmind.pipeline.fingerprint import provenance
from glassmind.pipeline.ladder import climb
from glassmind.pipeline.likelihood_tasks import grade_choices
from glassmind.pipeline.reward_models import load_reward_model
from glassmind.pipeline.sample_store import SampleStore
from glassmind.pipeline.tasks.prompts import shipped_prompt
from glassmind.pipeline.tasks.registry import require_answer_task, require_task
from glassmind.pipeline.tasks.task import AnswerTask, ChoiceTask, TextTask, Wanted
from glassmind.pipeline.tasks.unanswerable import abstention_rows
from glassmind.progress import Progress, Silent
from glassmind.reason import registry, reward_registry
from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.reward import Reward
from glassmind.reason.reward_model import RewardModel
from glassmind.reason.rewards import reward_model as reward_model_reward
from glassmind.reason.session import Session, not_kept
from glassmind.records import Problem, Trace
from glassmind.runs.models import shipped_run
from glassmind.runs.recipe import Recipe, SamplingConfig


def task_recipe(llm: LLM) -> Recipe:
    """The recipe whose generated problems a model is graded on: that of its run, or if it has none,
    that of the model that comes with the package."""
    return llm.recipe or shipped_run().recipe()


def task_problems(
    task: str,
    recipe: Recipe,
    limit: int,
    *,
    columns: ProblemColumns = FOUND,
    on_bad_row: OnBadRow = "stop",
    say: Callable[[str], object] = silence,
) -> list[Problem]:
    """The problems of a task name, or of the file it names; ``limit`` 0 takes all.

    ``test`` and ``validation`` are those of the recipe, also where they came from a file.
    ``columns`` and ``on_bad_row`` are for a file (see ``load_problems``); ``say`` is told which
    rows of it were left out.

    Raises:
        UserError: there is neither such a task nor such a file, its data is missing, or it has no
            problems that are answered.
    """
    chosen, argument = require_answer_task(task)
    wanted = Wanted(recipe, argument, limit, columns, on_bad_row, say)
    return list(chosen.load(wanted).problems[: limit or None])


def worked_examples(task: str, recipe: Recipe, count: int) -> tuple[Problem, ...]:
    """``count`` training problems with worked steps, to be shown before a question of ``task``.

    They never include a problem of ``task``: they are the training problems of the same set, or of
    GSM8K if the task has none.

    Raises:
        UserError: there are too few, or their data is missing.
    """
    chosen, argument = require_task(task)
    if isinstance(chosen, AnswerTask) and chosen.examples is not None:
        return chosen_examples(chosen.examples(Wanted(recipe, argument), count), count)
    return chosen_examples(PROBLEM_SETS["gsm8k"].train(), count)


@dataclass(frozen=True)
class Evaluation:
    """A model graded on a task: the table, and what was answered to every problem.

    ``engine_busy`` is the share of the time for answering that the engine worked; ``None`` if it
    did not, because the model is elsewhere, writes nothing, or all chains were stored.
    ``formulas`` counts the comparisons of formulas that grading needed.
    """

    ladder: Ladder
    problems: tuple[GradedProblem, ...]
    engine_busy: float | None = None
    formulas: Comparisons = field(default_factory=Comparisons)

    def failed(self, method: str = "") -> list[GradedProblem]:
        """The problems that ``method`` did not solve, by default the highest that answers."""
        name = method or self.method
        return [p for p in self.problems if (found := p.by(name)) is None or not found.correct]

    @property
    def method(self) -> str:
        """The highest method on the ladder that answers; of one that only shows a ceiling, that."""
        names = [row.rung for row in self.ladder.rows]
        return next((name for name in reversed(names) if not is_ceiling(name)), names[-1])

    def __str__(self) -> str:
        return str(self.ladder)

    def _repr_html_(self) -> str:
        return self.ladder._repr_html_()


def grade_task(
    task: str | Path,
    model: Source = None,
    *,
    methods: Sequence[str] = (),
    rewards: Sequence[str] = (),
    reward_model: str | Path = "",
    limit: int = 0,
    shots: int = 0,
    sampling: SamplingConfig | None = None,
    tokens: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    columns: ProblemColumns = FOUND,
    on_bad_row: OnBadRow = "stop",
    store: Path | None = None,
) -> Evaluation:
    """Grade ``model`` on ``task``: a ladder (see ``ladder.json``) with one slice, the task, and
    every problem with its answers.

    ``model`` is whatever ``open_llm`` opens, or what it returned; ``None`` is the model that comes
    with the package. Before each question it is shown
    ``shots`` training problems with their solutions. ``methods`` are the names of those to run,
    by default all whose needs the model meets, and where only one chain is sampled, those that
    need no more. ``columns`` and ``on_bad_row`` are for a task that is a file. ``rewards`` are
    names of rewards to give the sampled chains, and ``reward_model`` is the run of a reward model
    that scores them, too. ``tokens`` limits what a method may spend on a
    problem (``Budget``). Questions too long for the model's context
    count as wrong; ``Ladder.skipped`` says how many.

    ``store`` is a folder for the chains: what was sampled before for the same model, prompt,
    sampling and task is read from there, and what is sampled is written there as it comes
    (``sample_store``). A task of multiple choice is answered by log-likelihood, which needs no
    methods.

    Raises:
        UserError: there is no such model, task or method, or a method needs what the model lacks.
    """
    task = str(task)
    chosen_task, argument = require_task(task)
    if isinstance(chosen_task, TextTask):
        raise UserError(f"the task {task} is measured by glassmind.pipeline.likelihood_tasks")
    asked = [registry.named(name) for name in dict.fromkeys(methods)]
    names = [*rewards, *([reward_model_reward.REWARD.name] if reward_model else [])]
    wanted = [reward_registry.named(name) for name in dict.fromkeys(names)]
    llm = as_llm(model)
    scoring = _reward_model(reward_model, llm)
    recipe = task_recipe(llm)
    say = (progress or Silent()).end
    request = Wanted(recipe, argument, limit, columns, on_bad_row, say)
    if isinstance(chosen_task, ChoiceTask):
        if asked or wanted or shots:
            raise UserError(f"{task} is answered by log-likelihood: no methods, rewards or shots")
        return Evaluation(*grade_choices(chosen_task, task, request, llm, seed, progress))
    questions = chosen_task.load(request)
    problems = list(questions.problems[: limit or None])
    llm = with_task_prompt(llm, chosen_task.prompt)
    if shots:
        shown = worked_examples(task, recipe, shots)
        llm = llm.with_prompts(replace(llm.prompts, examples=shown))
    config = sampling or llm.default_sampling
    sampled = SamplingParams.of(config, seed=seed)
    if asked and not wanted and not any(method.scales for method in asked):
        sampled = replace(sampled, samples=1)
    made_of = provenance(llm, task, problems, config, seed)
    stored = None if store is None else SampleStore(store, made_of, progress or Silent())
    session = Session(
        [llm],
        SamplingParams.of(config, seed=seed, greedy=True),
        sampled,
        answers=questions.right is None,  # a ceiling compares answers by itself
        keep=not_kept if stored is None else stored.keep,
        progress=progress,
        label=f"{task} ",
    )
    for method in asked:
        registry.require(method, session.has)
    for reward in wanted:
        if missing := reward.needs - session.has - ({"reward-model"} if scoring else set()):
            raise UserError(f"the reward {reward.name} needs {registry.missing_in_words(missing)}")
    chosen = [m for m in registry.usable(session.has) if _wanted(m, asked, config.samples)]
    if isinstance(llm, LocalLLM) and progress is not None:
        samples = sampled.samples if any(method.scales for method in chosen) or wanted else 0
        work = answering_work(llm, problems, samples, config.max_new_tokens)
        announce(work, llm.model, progress, "ask fewer questions (--limit) or sample fewer chains")
    began, worked, compared = time.perf_counter(), _engine_seconds(llm), comparisons()
    budget = Budget(config.samples, tokens)
    result = climb(problems, session, chosen, budget, questions.right or same_answer)
    seconds, worked = time.perf_counter() - began, _engine_seconds(llm) - worked
    any_method, *_ = result.solutions.values()
    ladder = Ladder(
        schema=SCHEMA,
        recipe=llm.name if llm.recipe is None else llm.recipe.name,
        commit="" if llm.run is None else llm.run.info().commit,
        seed=seed,
        rows=tuple(ladder_row(method, task, result.verdicts) for method in chosen),
        skipped=sum(map(_skipped, any_method)),
        rewards=tuple(
            reward_row(reward, task, problems, _chains(session, reward, problems, llm, scoring))
            for reward in wanted
        ),
        abstention=abstention_rows(problems, result.solutions) if chosen_task.abstention else (),
        provenance=made_of,
    )
    graded = graded_problems(llm.name, problems, result.solutions, result.verdicts)
    busy = worked / seconds if worked else None
    return Evaluation(ladder, graded, busy, comparisons() - compared)


def seen_questions(evaluation: Evaluation, training: str, ngram: int) -> SeenReport:
    """Which questions of an evaluation share ``ngram`` words in a row with a training text, a file
    or a set of problems.

    Raises:
        UserError: the training text cannot be read.
    """
    questions = [problem.question for problem in evaluation.problems]
    seen = seen_in_training(questions, training, ngram)
    return seen_report(training, seen, evaluation.problems, evaluation.method)


def with_task_prompt(llm: LLM, prompt: str) -> LLM:
    """The model with the prompt of a task, if it takes one and no other was chosen."""
    if not prompt or llm.format == "question" or llm.prompts.text != PLACE:
        return llm
    return llm.with_prompts(replace(llm.prompts, text=shipped_prompt(prompt).text))


def _engine_seconds(llm: LLM) -> float:
    return llm.engine_seconds if isinstance(llm, LocalLLM) else 0.0


def _chains(
    session: Session,
    reward: Reward,
    problems: Sequence[Problem],
    llm: LLM,
    scoring: RewardModel | None,
) -> list[Trace]:
    """The session's sampled chains, with the scores that the reward needs."""
    get = session.judged if "verifier" in reward.needs else session.samples
    traces = get(problems, session.sampled.samples, llm.style)
    if scoring is not None and "reward-model" in reward.needs:
        assert isinstance(llm, LocalLLM)
        return scoring.judge(llm, problems, traces)
    return traces


def _reward_model(source: str | Path, llm: LLM) -> RewardModel | None:
    """The reward model at ``source``, if it is given.

    Raises:
        UserError: there is none, or it cannot read what ``llm`` writes.
    """
    if not source:
        return None
    if not isinstance(llm, LocalLLM):
        raise UserError(
            f"a reward model reads tokens, which {llm.name} does not send: evaluate a model whose "
            "weights are here"
        )
    found = load_reward_model(source)
    found.require_tokenizer_of(llm)
    return found


def _wanted(method: Method, asked: Sequence[Method], samples: int) -> bool:
    if asked:
        return method in asked
    return method.in_ladder and (samples > 1 or not method.scales)


def _skipped(solution: Solution) -> bool:
    """Whether the question did not fit the model's context."""
    first = solution.trace.completions[0]
    return first.finish == "length" and not first.cost.completion_tokens
