"""Explain where a number of a training run comes from.

    glassmind explain loss runs/grpo --step 20
    glassmind explain loss runs/grpo --step 20 --completion 3 --page loss.html
    glassmind explain loss runs/grpo --step 20 --policy finished

"loss" walks one group of completions that the run has logged (groups.jsonl): from rewards to
advantages, ratios, clipped terms and the gradient at each token; and then the same group under the
published objectives, side by side. The ratios are those of the first pass over the samples; with
--policy finished they are those of the run's finished model, for which the samples are old.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glassmind.errors import UserError

SHOW = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    loss = actions.add_parser("loss", help="the loss of one group of completions, token by token")
    loss.add_argument("run", type=Path, help="the folder of a run that learned from reward")
    loss.add_argument("--step", type=int, required=True, metavar="N", help="a step that was logged")
    loss.add_argument(
        "--completion",
        type=int,
        metavar="N",
        help="the completion that is shown token by token (default: the one that is pushed most)",
    )
    loss.add_argument(
        "--policy",
        choices=("first-pass", "finished"),
        default="first-pass",
        help="whose log-probabilities stand above the ratio (first-pass)",
    )
    loss.add_argument(
        "--show", type=int, default=SHOW, metavar="N", help=f"tokens that are shown ({SHOW})"
    )
    loss.add_argument("--page", type=Path, metavar="FILE", help="write a page with every token")
    loss.add_argument("--json", action="store_true", help="print one JSON object instead")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.console import console, out, print_json
    from glassmind.evaluate.columns import terminal_width
    from glassmind.evaluate.explanation.page import write_explanation
    from glassmind.evaluate.explanation.text import explanation_record, explanation_text
    from glassmind.pipeline.explain import explain_loss
    from glassmind.pipeline.formats import require_extension

    if args.page is not None:
        require_extension(args.page, ".html", "an HTML page")
    if args.show < 1:
        raise UserError(f"--show must be at least 1, not {args.show}")
    found = explain_loss(args.run, args.step, finished=args.policy == "finished")
    completions = len(found.group.completions)
    if args.completion is not None and not 0 <= args.completion < completions:
        raise UserError(
            f"--completion must be one of the {completions} of this group, 0 to {completions - 1}, "
            f"not {args.completion}"
        )
    if args.json:
        print_json(explanation_record(found))
    else:
        width = terminal_width(out())
        out().file.write(explanation_text(found, args.completion, args.show, width) + "\n")
    if args.page is not None:
        write_explanation(found, args.page)
        console().print(f"The page is {args.page}")
    return 0
