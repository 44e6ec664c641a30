"""Explain a verb, or a term of this project.

glassmind help                 all verbs
glassmind help ask             the options of ask
glassmind help slice           what a slice is
glassmind help words           the glossary
"""

from __future__ import annotations

import argparse
import difflib
import sys

from glassmind.errors import UserError

ALL_WORDS = "words"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``glassmind help``."""
    parser.add_argument("topic", nargs="*", help="a verb, a term, or: words, for the glossary")


def run(args: argparse.Namespace) -> int:
    """Print the help; return 0."""
    from glassmind.cli.main import VERBS, module_of, overview
    from glassmind.cli.parser import parser_of
    from glassmind.evaluate.glossary import TERMS, find_term, glossary_page

    topic = " ".join(args.topic)
    if not topic:
        overview().print_help(sys.stdout)
    elif topic in VERBS:
        parser_of(topic, module_of(topic)).print_help(sys.stdout)
    elif topic == ALL_WORDS:
        sys.stdout.write(glossary_page())
    elif (term := find_term(topic)) is not None:
        print(f"{term.word}: {term.meaning}")
    else:
        known = [*VERBS, *(name for term in TERMS for name in (term.word, *term.spellings))]
        close = difflib.get_close_matches(topic[:40], known, n=1, cutoff=0.6)
        remedy = f"did you mean {close[0]}?" if close else "glassmind help lists the verbs, "
        remedy += "" if close else "and glassmind help words the words"
        raise UserError(f"there is no verb and no word {topic[:40]!r}; {remedy}")
    return 0
