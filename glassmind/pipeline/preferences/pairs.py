"""From a recipe to preferences as ids, to train on and to measure on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from glassmind.data.preferences.documents import EncodedPreference
from glassmind.data.preferences.files import load_preferences, split_preferences
from glassmind.data.preferences.generated import chain_pairs
from glassmind.data.preferences.records import Preference
from glassmind.errors import UserError
from glassmind.generate import derive_seed
from glassmind.pipeline.preferences.sampled import pair_rewarding, sampled_pairs
from glassmind.pipeline.preferences.starting import Starting, questions_of
from glassmind.pipeline.prepare import Slices, make_slices
from glassmind.pipeline.rollouts.rewarding import Rewarding
from glassmind.progress import Progress
from glassmind.quantity import quantity

SHOWN = 5  # places of rows that are left out


@dataclass(frozen=True)
class Pairs:
    """Preferences to train on, and held-out ones. ``held_out`` may be empty."""

    training: list[EncodedPreference]
    held_out: list[EncodedPreference]


@dataclass(frozen=True)
class RecipePairs:
    """The preferences of a recipe, and the ``problems`` that they are about (``None`` for those of
    a file)."""

    pairs: Callable[[], Pairs]
    problems: Slices | None


def recipe_pairs(starting: Starting, progress: Progress, *, paired: bool) -> RecipePairs:
    """What the recipe's ``[preferences]`` ask for.

    ``paired`` refuses single answers. Preferences that do not fit into a row, or whose answers are
    the same tokens, are left out, and ``progress`` is told of them. Pairs that are written down
    are read, or constructed, at once; those that the model has to sample when they are called for.

    Raises:
        UserError: the file cannot be read, nothing is left to train on, or the reward for sampled
            pairs cannot be given.
    """
    recipe, config = starting.recipe, starting.recipe.preferences
    slices = None if config.file else make_slices(recipe, progress)
    if slices is not None and config.pairs == "sampled":
        rewarding = pair_rewarding(starting.llm, recipe)
        some = replace(
            slices,
            train=questions_of(slices.train, starting),
            validation=questions_of(slices.validation, starting),
        )
        return RecipePairs(partial(_sampled, starting, some, rewarding, progress), slices)
    written = _written(starting, slices, progress, paired=paired)
    return RecipePairs(lambda: written, slices)


def _written(
    starting: Starting, slices: Slices | None, progress: Progress, *, paired: bool
) -> Pairs:
    recipe, config = starting.recipe, starting.recipe.preferences
    if slices is None:
        rows = load_preferences(
            config.file, config.columns, on_bad_row=recipe.on_bad_row, say=progress.end
        )
        if paired:
            _refuse_single(rows, config.file)
        parts = split_preferences(rows, recipe.seed, config.validation_fraction)
        found = [((one.where, starting.answers(one)) for one in part) for part in parts]
    else:
        assert config.pairs != "sampled"
        found = [
            (
                (pair.problem.id, starting.chains(pair))
                for pair in chain_pairs(problems, config.pairs, recipe.seed)
            )
            for problems in (slices.train, slices.validation)
        ]
    training, held_out = (_fitting(part, starting.longest, progress) for part in found)
    if not training:
        raise UserError(
            "there is no preference to train on: give more of them, problems with steps, or raise "
            f"train.row_tokens ({recipe.train.row_tokens})"
        )
    return Pairs(training, held_out)


def _sampled(starting: Starting, slices: Slices, rewarding: Rewarding, progress: Progress) -> Pairs:
    recipe, llm = starting.recipe, starting.llm
    found = []
    for number, problems in enumerate((slices.train, slices.validation)):
        found.append(
            sampled_pairs(
                llm,
                problems,
                recipe,
                rewarding,
                seed=derive_seed(recipe.seed, number),
                progress=progress,
            )
        )
    if not found[0]:
        raise UserError(
            f"all chains of each of {quantity(len(slices.train), 'problem')} got the same reward, "
            "so none is preferred: give problems that the model solves sometimes (problems.dial), "
            "or raise sampling.samples or sampling.temperature"
        )
    progress.end(
        f"{len(found[0]):,} of {len(slices.train):,} problems have chains with different rewards"
    )
    return Pairs(*found)


def _refuse_single(rows: Sequence[Preference], file: str) -> None:
    single = [one for one in rows if not one.paired]
    if single:
        raise UserError(
            f"{single[0].where} is a single answer (as are {len(single):,} of the {len(rows):,} "
            f"rows of {file}), and this loss compares two: set options.loss to kto"
        )


def _fitting(
    rows: Iterable[tuple[str, EncodedPreference | None]], most: int, progress: Progress
) -> list[EncodedPreference]:
    """The preferences that fit into ``most`` tokens and have two different answers; each comes with
    its place, and is ``None`` if an answer is too long by itself."""
    kept: list[EncodedPreference] = []
    too_long: list[str] = []
    equal: list[str] = []
    for where, one in rows:
        if one is None or one.n_tokens > most:
            too_long.append(where)
        elif one.chosen == one.rejected:
            equal.append(where)
        else:
            kept.append(one)
    for places, why in (
        (too_long, f"prompt and answers take more than train.row_tokens ({most})"),
        (equal, "both answers are the same tokens"),
    ):
        if places:
            shown = ", ".join(places[:SHOWN]) + (", ..." if len(places) > SHOWN else "")
            progress.end(
                f"{quantity(len(places), 'preference')} of {len(places) + len(kept):,} left out, "
                f"since {why}: {shown}"
            )
    return kept
