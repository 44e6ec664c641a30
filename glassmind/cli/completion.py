"""Print a script with which the shell completes verbs, options and their values.

    glassmind completion bash >> ~/.bashrc
    glassmind completion zsh > ~/.zfunc/_glassmind      (a folder of your fpath)
    glassmind completion fish > ~/.config/fish/completions/glassmind.fish

The script has all verbs and options of this version and does not start Python, so completion is
instant. Write it again after an update.
"""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``glassmind completion``."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell you use")


def run(args: argparse.Namespace) -> int:
    """Print the script; return 0."""
    from glassmind.cli.completion_scripts import SCRIPTS, command_words
    from glassmind.cli.main import VERBS, module_of
    from glassmind.cli.parser import parser_of

    commands = [
        command_words(verb, line, parser_of(verb, module_of(verb))) for verb, line in VERBS.items()
    ]
    sys.stdout.write(SCRIPTS[args.shell](commands))
    return 0
