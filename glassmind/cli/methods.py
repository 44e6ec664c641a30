"""List the methods of answering: what each does, what it needs, what it is compared with.

glassmind methods
glassmind methods --json

Each name is one that --method of ask and eval takes, and "method" of /v1/reason.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON list on standard output")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.console import out, print_json
    from glassmind.reason import registry

    if args.json:
        print_json(
            [
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
        )
        return 0
    for method in registry.methods():
        out().print(method.name, style="bold")
        out().print(f"  {method.explanation}", soft_wrap=True)
        if method.needs:
            out().print(f"  needs {registry.in_words(method.needs)}", style="dim")
        if method.compared_with:
            out().print(f"  compared with {', '.join(method.compared_with)}", style="dim")
    return 0
