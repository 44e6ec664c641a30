"""Grade a model on a task: generated problems, GSM8K files, or your own.

Any model that can be asked can be graded. It answers with every method whose needs it meets, or
with the methods that are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from glassmind.data import PROBLEM_SETS, generate, load_problems
from glassmind.data.bad_rows import OnBadRow, silence
from glassmind.data.problem_columns import FOUND, ProblemColumns
from glassmind.errors import UserError
from glassmind.evaluate.graded_problems import GradedProblem, graded_problems
from glassmind.evaluate.ladder.names import is_ceiling
from glassmind.evaluate.ladder.rewards import reward_row
from glassmind.evaluate.ladder.rows import ladder_row
from glassmind.evaluate.run_files import SCHEMA, Ladder
from glassmind.generate import SamplingParams
from glassmind.llm import LLM, LocalLLM, Source, as_llm
from glassmind.llm.prompts import chosen_examples
from glassmind.pipeline.announcement import announce, answering_work
from glassmind.pipeline.ladder import climb
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.tasks import GENERATED, require_task
from glassmind.progress import Progress, Silent
from glassmind.reason import registry, reward_registry
from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.reward import Reward
from glassmind.reason.session import Session
from glassmind.records import Problem, Trace
from glassmind.runs.models import shipped_run
from glassmind.runs.recipe import Recipe, SamplingConfig
from glassmind.tokenize import Style


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
        UserError: there is neither such a task nor such a file, or its data is missing.
    """
    require_task(task)
    for split in GENERATED:
        if task == split and recipe.problems.file:
            problems: list[Problem] = getattr(make_slices(recipe), split)
            if not problems:
                raise UserError(f"a run on {recipe.problems.file} has no {split} problems")
            return problems[:limit] if limit else problems
        if task == split:
            count = limit or getattr(recipe.problems, split) or 500
            return generate(recipe.problems.dial, count, split=split, seed=recipe.seed)
    name = task.removesuffix("-train")
    if name in PROBLEM_SETS:
        chosen = PROBLEM_SETS[name]
        problems = chosen.held_out() if task == name else chosen.train()
    else:
        problems = load_problems(task, columns, on_bad_row=on_bad_row, say=say)
    return problems[:limit] if limit else problems


def worked_examples(task: str, recipe: Recipe, count: int) -> tuple[Problem, ...]:
    """``count`` training problems with worked steps, to be shown before a question of ``task``.

    They never include a problem of ``task``: they are the training problems of the same set, or of
    GSM8K if ``task`` is a file.

    Raises:
        UserError: there are too few, or their data is missing.
    """
    if task.removesuffix("-train") in PROBLEM_SETS and task.endswith("-train"):
        raise UserError(f"the examples are taken from {task}: use them with another task")
    if task not in GENERATED:
        return chosen_examples(PROBLEM_SETS.get(task, PROBLEM_SETS["gsm8k"]).train(), count)
    if recipe.problems.file:
        return chosen_examples(make_slices(recipe).train, count)
    made = generate(recipe.problems.dial, count, split="train", seed=recipe.seed)
    return chosen_examples(made, count)


@dataclass(frozen=True)
class Evaluation:
    """A model graded on a task: the table, and what was answered to every problem."""

    ladder: Ladder
    problems: tuple[GradedProblem, ...]

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
    limit: int = 0,
    shots: int = 0,
    sampling: SamplingConfig | None = None,
    tokens: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    columns: ProblemColumns = FOUND,
    on_bad_row: OnBadRow = "stop",
) -> Evaluation:
    """Grade ``model`` on ``task``: a ladder (see ``ladder.json``) with one slice, the task, and
    every problem with its answers.

    ``model`` is whatever ``open_llm`` opens, or what it returned; ``None`` is the model that comes
    with the package. Before each question it is shown
    ``shots`` training problems with their solutions. ``methods`` are the names of those to run,
    by default all whose needs the model meets, and where only one chain is sampled, those that
    need no more. ``columns`` and ``on_bad_row`` are for a task that is a file. ``rewards`` are
    names of rewards to give the sampled chains. ``tokens`` limits what a method may spend on a
    problem (``Budget``). Questions too long for the model's context
    count as wrong; ``Ladder.skipped`` says how many.

    Raises:
        UserError: there is no such model, task or method, or a method needs what the model lacks.
    """
    task = str(task)
    asked = [registry.named(name) for name in dict.fromkeys(methods)]
    wanted = [reward_registry.named(name) for name in dict.fromkeys(rewards)]
    llm = as_llm(model)
    recipe = task_recipe(llm)
    problems = task_problems(
        task,
        recipe,
        limit,
        columns=columns,
        on_bad_row=on_bad_row,
        say=(progress or Silent()).end,
    )
    if shots:
        shown = worked_examples(task, recipe, shots)
        llm = llm.with_prompts(replace(llm.prompts, examples=shown))
    config = sampling or llm.default_sampling
    sampled = SamplingParams.of(config, seed=seed)
    if asked and not wanted and not any(method.scales for method in asked):
        sampled = replace(sampled, samples=1)
    session = Session(
        [llm],
        SamplingParams.of(config, seed=seed, greedy=True),
        sampled,
        progress=progress,
        label=f"{task} ",
    )
    for method in asked:
        registry.require(method, session.has)
    for reward in wanted:
        if missing := reward.needs - session.has:
            raise UserError(f"the reward {reward.name} needs {registry.missing_in_words(missing)}")
    chosen = [m for m in registry.usable(session.has) if _wanted(m, asked, config.samples)]
    if isinstance(llm, LocalLLM) and progress is not None:
        samples = sampled.samples if any(method.scales for method in chosen) or wanted else 0
        work = answering_work(llm, problems, samples, config.max_new_tokens)
        announce(work, llm.model, progress, "ask fewer questions (--limit) or sample fewer chains")
    result = climb(problems, session, chosen, Budget(config.samples, tokens))
    any_method, *_ = result.solutions.values()
    ladder = Ladder(
        schema=SCHEMA,
        recipe=llm.name if llm.recipe is None else llm.recipe.name,
        commit="" if llm.run is None else llm.run.info().commit,
        seed=seed,
        rows=tuple(ladder_row(method, task, result.verdicts) for method in chosen),
        skipped=sum(map(_skipped, any_method)),
        rewards=tuple(
            reward_row(reward, task, problems, _chains(session, reward, problems, llm.style))
            for reward in wanted
        ),
    )
    graded = graded_problems(llm.name, problems, result.solutions, result.verdicts)
    return Evaluation(ladder, graded)


def _chains(
    session: Session, reward: Reward, problems: Sequence[Problem], style: Style
) -> list[Trace]:
    """The session's sampled chains, with the verifier's scores if the reward needs them."""
    get = session.judged if "verifier" in reward.needs else session.samples
    return get(problems, session.sampled.samples, style)


def _wanted(method: Method, asked: Sequence[Method], samples: int) -> bool:
    if asked:
        return method in asked
    return method.in_ladder and (samples > 1 or not method.scales)


def _skipped(solution: Solution) -> bool:
    """Whether the question did not fit the model's context."""
    first = solution.trace.completions[0]
    return first.finish == "length" and not first.cost.completion_tokens
