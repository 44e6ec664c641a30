"""Talk with a model in the terminal.

    glassmind chat smollm2
    glassmind chat runs/demo --temperature 0

Its answers appear as they form. A line that begins with / is for the program:

    /reset               forget what was said
    /think on|off        have it reason first, or answer at once, where it knows both
    /show logprobs       after each answer, how probable each of its tokens was; again to stop
    /help                these lines
    /exit                leave (as Ctrl-D does)

Ctrl-C ends an answer that is too long; what was said of it stays said.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from typing import TYPE_CHECKING

from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.serve.conversation import Conversation

CACHE_MB = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a run's folder, smollm2, a .gguf file, or a Hugging Face folder",
    )
    parser.add_argument("--system", default="", metavar="TEXT", help="what the model is told first")
    parser.add_argument("--temperature", type=float, default=0.7, metavar="T")
    parser.add_argument("--top-p", type=float, default=0.95, metavar="P")
    parser.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="of an answer")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads to compute with")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.ask import refuse_misspelled, set_threads
    from glassmind.cli.console import console
    from glassmind.generate import SamplingParams
    from glassmind.serve.conversation import Conversation
    from glassmind.serve.served_model import ServedModel

    if args.threads is not None:
        set_threads(args.threads)
    refuse_misspelled(args.model)
    screen = console()
    with screen.status("loading the model ..."):
        served = ServedModel.load(args.model or "")
        engine = served.engine(max_rows=1, max_cache_bytes=CACHE_MB << 20)
    params = SamplingParams(
        max_new_tokens=args.max_tokens,
        temperature=args.temperature,
        top_p=args.top_p,
        seed=args.seed,
        stop=served.stop_ids,
    )
    conversation = Conversation(served, engine, params, system=args.system)
    if served.format == "question":
        screen.print(f"{served.name} was trained on single questions: it forgets the one before.")
    screen.print(f"You talk with {served.name}. /help says what else can be typed.", style="dim")
    chat = _Chat(conversation)
    while (line := _read_line()) is not None:
        if line.startswith("/"):
            if not chat.command(line.split()):
                break
        elif line:
            chat.answer(line)
    return 0


def _read_line() -> str | None:
    """What the person types, without white space around it; ``None`` at the end."""
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 (arrow keys in input)
        try:
            return input("> ").strip()
        except EOFError:
            return None
    line = sys.stdin.readline()
    return line.strip() if line else None


class _Chat:
    """The two sides of the screen: answers on standard output, everything else beside it."""

    def __init__(self, conversation: Conversation) -> None:
        from glassmind.cli.console import console

        self._conversation, self._screen = conversation, console()
        self._show_logprobs = False

    def command(self, words: list[str]) -> bool:
        """Do what a line with a slash says; false where it says to leave."""
        match words:
            case ["/exit"] | ["/quit"]:
                return False
            case ["/reset"]:
                self._conversation.reset()
                self._note("what was said is forgotten")
            case ["/think", "on" | "off" as said]:
                self._conversation.think = said == "on"
                self._note(f"thinking is {said}, where the model knows how")
            case ["/show", "logprobs"]:
                self._show_logprobs = not self._show_logprobs
                self._note(f"log-probabilities are {'shown' if self._show_logprobs else 'hidden'}")
            case ["/help"]:
                self._note((__doc__ or "").partition("program:\n\n")[2].rstrip())
            case _:
                self._note(f"there is no command {' '.join(words)[:60]!r}; /help lists them")
        return True

    def answer(self, text: str) -> None:
        """The model's turn."""
        from glassmind.cli.console import out

        screen, channel, said = out(), "content", False
        pieces = self._conversation.say(text)
        try:
            for piece in pieces:
                if piece.channel != channel and said:
                    screen.print()
                channel, said = piece.channel, True
                style = "dim italic" if channel == "reasoning" else ""
                screen.print(piece.text, end="", style=style, soft_wrap=True)
                screen.file.flush()
        except UserError as error:
            self._note(str(error))
            return
        except KeyboardInterrupt:
            self._note("\nstopped")
        finally:
            pieces.close()
        screen.print()
        if self._conversation.finish == "length":
            self._note("cut off here; --max-tokens allows more")
        if self._show_logprobs:
            self._print_logprobs()

    def _print_logprobs(self) -> None:
        from rich.text import Text

        line = Text()
        for token_id, logprob in self._conversation.scored:
            share = math.exp(logprob)
            style = "green" if share >= 0.5 else "yellow" if share >= 0.1 else "red"
            spelling = self._conversation.served.spelling(token_id)
            line.append(f"{spelling!r} {share:.0%}  ", style=style)
        self._screen.print(line)

    def _note(self, text: str) -> None:
        self._screen.print(text, style="dim")
