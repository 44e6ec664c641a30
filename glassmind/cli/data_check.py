"""``glassmind data check``: which rows of a file can be used, which cannot, and why."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from glassmind.cli.console import out, print_json
from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.data import Chat, Labelled
    from glassmind.data.preferences.records import Preference
    from glassmind.data.rows.bad_rows import Checked
    from glassmind.records import Problem


def check(args: argparse.Namespace) -> None:
    """Print counts and every bad row; raise ``UserError`` if there is one, or no good row."""
    from glassmind.cli.data_options import chosen_columns
    from glassmind.data.chats import check_chats
    from glassmind.data.labelled import check_labelled
    from glassmind.data.preferences.files import PreferenceColumns, check_preferences
    from glassmind.data.problems.files import check_problems

    found: Checked[Problem] | Checked[Chat] | Checked[Labelled] | Checked[Preference]
    counts: dict[str, object]
    if args.kind == "problems":
        problems = check_problems(args.file, chosen_columns(args))
        found, counts = problems, _problem_counts(problems.good)
    elif args.kind == "chats":
        chats = check_chats(args.file)
        found, counts = chats, _chat_counts(chats.good)
    elif args.kind == "preferences":
        columns = PreferenceColumns(
            *(args.prompt_column, args.chosen_column, args.rejected_column),
            *(args.completion_column, args.label_column),
        )
        preferences = check_preferences(args.file, columns)
        found, counts = preferences, _preference_counts(preferences.good)
    else:
        texts = check_labelled(args.file, args.text_column, args.label_column)
        found, counts = texts, _label_counts(texts.good)
    if args.json:
        bad = [{"where": row.where, "reason": row.reason} for row in found.bad]
        print_json({"file": str(args.file), **counts, "bad_rows": len(found.bad), "bad": bad})
    else:
        _show_checked(found, counts)
    if found.bad:
        raise UserError(
            f"{len(found.bad):,} of the {found.n_rows:,} rows of {args.file} cannot be used; "
            "training and eval skip them with --skip-bad-rows"
        )
    if not found.good:
        raise UserError(f"{args.file} holds no row")


def _show_checked(found: Checked[Any], counts: dict[str, object]) -> None:
    for name, count in counts.items():
        if count not in (None, {}):
            shown = count
            if isinstance(count, dict):
                shown = ", ".join(f"{label} {n:,}" for label, n in count.items())
            out().print(f"{name.replace('_', ' ')}: {shown}")
    out().print(f"bad rows: {len(found.bad):,}")
    for row in found.bad:
        out().print(f"  {row}")


def _problem_counts(problems: Sequence[Problem]) -> dict[str, object]:
    """Print the number of problems, and the results of checking their steps."""
    from glassmind.grade.steps import check_steps

    n_steps = n_equations = n_wrong = n_verified = n_in_words = 0
    first_wrong: str | None = None
    for problem in problems:
        checks = check_steps(problem, [step.text for step in problem.steps])
        n_steps += len(checks)
        n_verified += bool(checks) and checks[-1].complete
        n_in_words += bool(checks) and checks[0].valid is None
        for step, checked in zip(problem.steps, checks, strict=True):
            n_equations += "=" in step.text
            if "=" in step.text and not checked.arithmetic:
                n_wrong += 1
                first_wrong = first_wrong or f"{problem.id}: {step.text}"
    why = None
    if n_in_words:
        why = (
            f"the steps of {n_in_words:,} are texts, which do not say where each number comes "
            f"from, so that only their arithmetic was checked ({n_equations - n_wrong:,} of "
            f"{n_equations:,} equations are right). Only steps that are objects with operator, "
            "operands, value and uses, as `glassmind data make` writes them, can be verified"
        )
    return {
        "problems": len(problems),
        "with_steps": sum(bool(problem.steps) for problem in problems),
        "steps": n_steps,
        "verified_solutions": n_verified,
        "not_verified_because": why,
        "equations_not_confirmed": n_wrong,
        "first_not_confirmed": first_wrong,
        "different_questions": len({problem.question for problem in problems}),
    }


def _chat_counts(chats: Sequence[Chat]) -> dict[str, object]:
    messages = [message for chat in chats for message in chat.messages]
    roles = Counter(str(message["role"]) for message in messages)
    fields = Counter(name for m in messages for name in m if name not in ("role", "content"))
    return {
        "conversations": len(chats),
        "messages": len(messages),
        "roles": dict(roles.most_common()),
        "other_fields": dict(fields.most_common()),
        "with_tools": sum(bool(chat.tools) for chat in chats),
        "answers_of_weight_0": sum(len(chat.unlearned) for chat in chats),
    }


def _preference_counts(preferences: Sequence[Preference]) -> dict[str, object]:
    paired = [one for one in preferences if one.paired]
    good = sum(one.chosen is not None for one in preferences if not one.paired)
    longer = sum(len(str(one.chosen)) > len(str(one.rejected)) for one in paired)
    return {
        "pairs": len(paired),
        "pairs_whose_chosen_answer_is_longer": longer,
        "single_answers": len(preferences) - len(paired),
        "good_single_answers": good,
        "different_prompts": len({repr(one.prompt) for one in preferences}),
    }


def _label_counts(texts: Sequence[Labelled]) -> dict[str, object]:
    labels = Counter(text.label for text in texts)
    return {"texts": len(texts), "labels": dict(labels.most_common(50))}
