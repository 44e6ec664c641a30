"""List the methods of answering, what each needs and is compared with, and the rewards.

glassmind methods
glassmind methods --json

The names of methods are for --method of ask and eval, and for "method" of /v1/reason. The names of
rewards are for --reward of eval, and for options.reward of learning from reward. Those whose names
begin with "hole" can be earned without solving the problem, and are there for study.
"""

from __future__ import annotations

import argparse
import textwrap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.console import out, print_json
    from glassmind.reason import registry, reward_registry

    if args.json:
        methods = [
            {
                "name": method.name,
                "title": method.title,
                "explanation": method.explanation,
                "needs": sorted(method.needs),
                "compared_with": list(method.compared_with),
                "scales": method.scales,
                "ceiling": method.ceiling,
            }
            for method in registry.methods()
        ]
        rewards = [
            {
                "name": reward.name,
                "title": reward.title,
                "explanation": reward.explanation,
                "needs": sorted(reward.needs),
            }
            for reward in reward_registry.rewards()
        ]
        holes = [
            {"name": hole.name, "title": hole.title, "explanation": hole.explanation}
            for hole in reward_registry.holes()
        ]
        print_json({"methods": methods, "rewards": rewards, "holes": holes})
        return 0
    for method in registry.methods():
        out().print(method.name, style="bold")
        _print_below(method.explanation)
        if method.needs:
            _print_below(f"needs {registry.in_words(method.needs)}", style="dim")
        if method.compared_with:
            _print_below(f"compared with {', '.join(method.compared_with)}", style="dim")
    out().print("\nrewards for sampled chains:")
    for reward in reward_registry.rewards():
        out().print(reward.name, style="bold")
        _print_below(reward.explanation)
        if reward.needs:
            _print_below(f"needs {registry.in_words(reward.needs)}", style="dim")
    out().print("\nrewards with a hole, to watch a model find it:")
    for hole in reward_registry.holes():
        out().print(hole.name, style="bold")
        _print_below(hole.explanation)
    return 0


def _print_below(text: str, style: str = "") -> None:
    """Print a sentence under a name, wrapped between words if the output is a terminal."""
    from glassmind.cli.console import out
    from glassmind.evaluate.columns import terminal_width

    width = terminal_width(out())
    for line in [text] if width is None else textwrap.wrap(text, max(8, width - 2)):
        out().print(f"  {line}", style=style, soft_wrap=True)
