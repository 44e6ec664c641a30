"""The parser of every verb, which reports a mistake in one sentence with a suggestion.

argparse prints half a screen of usage before the error message. This parser prints only the
message, and checks for mistyped options first, because they may cause other errors:

    glassmind ask: error: there is no option --modle; did you mean --model?
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, NoReturn

EXIT_USAGE = 2
_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")
_MISSING = re.compile(r"the following arguments are required: (.*)", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that reports a mistake in one sentence. The parsers of a verb's actions
    are of the same class."""

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments in ``words``.

        Raises:
            SystemExit: with 0 after ``--help``, with 2 after a mistake.
        """
        self._refuse_unknown(words)
        args, rest = self.parse_known_args(list(words))
        if rest:  # argparse takes an argument of several words from one place between options
            many = [action for action in actions_of(self) if action.nargs in ("+", "*")]
            many = [action for action in many if not action.option_strings]
            if not many:
                self.error(
                    f"{' '.join(rest)[:60]!r} is one argument too many: quote a text with spaces"
                )
            given = getattr(args, many[-1].dest)
            given += [self._get_value(many[-1], word) for word in rest]
        return args

    def error(self, message: str) -> NoReturn:
        """Print one sentence and exit with 2."""
        missing = _MISSING.fullmatch(message)
        if missing:
            verb = "is" if "," not in missing[1] else "are"
            message = f"{missing[1]} {verb} missing; {self.prog} --help has examples"
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Report a wrong value, and suggest the nearest of those that the argument takes."""
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        close = difflib.get_close_matches(str(value)[:40], choices, n=1, cutoff=0.5)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise argparse.ArgumentError(
            action, f"there is no {str(value)[:40]!r}{hint}; it is one of: {', '.join(choices)}"
        )

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        """Report an unknown option, found by the same rules by which argparse finds options."""
        known = sorted({name for parser in parsers(self) for name in names(parser)})
        for word in words:
            if word == "--":
                return
            name = word.partition("=")[0]
            is_option = word.startswith("-") and len(word) > 1 and " " not in word
            if is_option and name not in known and not _NEGATIVE.fullmatch(word):
                self.error(f"there is no option {name[:40]}; {_nearest(name, known, self.prog)}")


def _nearest(name: str, known: Sequence[str], prog: str) -> str:
    """A suggestion for a wrong option: one that begins the same or has a similar spelling."""
    word = "--" + name[:40].lstrip("-")
    beginnings = [option for option in known if option.startswith(word)]
    close = beginnings or difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if len(close) == 1:
        return f"did you mean {close[0]}?"
    return f"{prog} --help lists the options"


def parser_of(verb: str, module: ModuleType) -> Parser:
    """The parser of the verb in ``module``."""
    parser = Parser(
        prog=f"glassmind {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The options and arguments of a parser, in order of declaration."""
    yield from parser._actions


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a verb's actions, such as ``show`` of ``tokenizer``, by their names."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in actions_of(parser):
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and those of its actions."""
    yield parser
    yield from subparsers(parser).values()


def names(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every option of a parser, as it is typed."""
    for action in actions_of(parser):
        yield from action.option_strings
