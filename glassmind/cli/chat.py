"""Talk with a model in the terminal.

    glassmind chat smollm2
    glassmind chat runs/demo --temperature 0
    glassmind chat http://127.0.0.1:8000/v1          with the model of a server

Its answers appear as they form. A line that begins with / is a command to the program:

    /reset               forget the conversation
    /think on|off        reason before answering, or not, if the model supports both
    /show logprobs       show the probability of each token after an answer; again to stop
    /help                show this list
    /exit                leave (or Ctrl-D)

``help``, ``quit`` and ``exit`` alone on a line do the same without the slash.

Ctrl-C stops an answer; the part that has been written stays in the conversation. At the prompt,
Ctrl-C discards the line that is being typed.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from typing import TYPE_CHECKING

from glassmind.cli.chosen_model import (
    ADDRESS,
    add_key_argument,
    add_model_arguments,
    load_chosen,
    refuse_local_options,
)
from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.llm.conversation import Conversation, Speaker

CACHE_MB = 512
WITHOUT_SLASH = ("help", "?", "quit", "exit")  # commands that also work without the slash


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser, also=ADDRESS)
    add_key_argument(parser)
    parser.add_argument("--system", default="", metavar="TEXT", help="the system message")
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.7,
        metavar="T",
        help="0 takes the likeliest token each time (0.7)",
    )
    parser.add_argument(
        "--top-p",
        type=float,
        default=0.95,
        metavar="P",
        help="sample from the likeliest tokens with this probability together (0.95)",
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=1024,
        metavar="N",
        help="the most tokens of an answer (1024)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the random seed (0)")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.console import console
    from glassmind.generate import SamplingParams
    from glassmind.llm.conversation import Conversation

    if args.max_tokens < 1:
        raise UserError(f"--max-tokens must be at least 1, not {args.max_tokens}")
    params = SamplingParams(
        max_new_tokens=args.max_tokens,
        temperature=args.temperature,
        top_p=args.top_p,
        seed=args.seed,
    )
    screen = console()
    conversation = Conversation(_speaker(args), params, system=args.system)
    name = conversation.speaker.name
    if conversation.speaker.format == "question":
        screen.print(f"{name} was trained on single questions: it forgets the one before.")
    screen.print(f"You talk with {name}. /help lists the commands.", style="dim")
    chat = _Chat(conversation)
    while (line := chat.read_line()) is not None:
        if line.lower() in WITHOUT_SLASH:
            line = "/" + line.lower()
        if line.startswith("/"):
            if not chat.command(line.split()):
                break
        elif line:
            chat.answer(line)
    return 0


def _speaker(args: argparse.Namespace) -> Speaker:
    """The model's side: weights in this process, or a server."""
    from glassmind.llm.conversation import LocalSpeaker
    from glassmind.llm.remote import RemoteLLM, is_address
    from glassmind.llm.remote_conversation import RemoteSpeaker

    if is_address(args.model or ""):
        refuse_local_options(args)
        return RemoteSpeaker(RemoteLLM.at(args.model, api_key_variable=args.api_key_env))
    return LocalSpeaker(*load_chosen(args, max_rows=1, cache_mb=CACHE_MB))


class _Chat:
    """The terminal's side of a chat: answers go to standard output, the rest to standard error."""

    def __init__(self, conversation: Conversation) -> None:
        from glassmind.cli.console import console

        self._conversation, self._screen = conversation, console()
        self._show_logprobs = False

    def read_line(self) -> str | None:
        """The next line of input, without white space around it; ``None`` at the end."""
        if not sys.stdin.isatty():
            line = sys.stdin.readline()
            return line.strip() if line else None
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 (arrow keys in input)
        while True:
            try:
                return input("> ").strip()
            except EOFError:
                self._screen.print()
                return None
            except KeyboardInterrupt:  # perhaps meant for an answer that has just ended
                self._note("\nto leave, type /exit or Ctrl-D")

    def command(self, words: list[str]) -> bool:
        """Carry out a command with a slash; returns false if it is the one to leave."""
        match words:
            case ["/exit"] | ["/quit"]:
                return False
            case ["/reset"]:
                self._conversation.reset()
                self._note("the conversation is forgotten")
            case ["/think", "on" | "off" as said]:
                self._conversation.think = said == "on"
                known = self._conversation.speaker.can_think
                self._note(
                    f"thinking is {said}" if known else "this model cannot be told whether to think"
                )
            case ["/think", *_]:
                self._note("/think takes on or off")
            case ["/show", "logprobs"]:
                self._show_logprobs = not self._show_logprobs
                self._note(f"log-probabilities are {'shown' if self._show_logprobs else 'hidden'}")
            case ["/show", *_]:
                self._note("/show takes logprobs")
            case ["/help"] | ["/?"]:
                self._note((__doc__ or "").partition("program:\n\n")[2].rstrip())
            case _:
                self._note(f"there is no command {' '.join(words)[:60]!r}; /help lists them")
        return True

    def answer(self, text: str) -> None:
        """Print the model's answer, and the findings of exact checks."""
        from glassmind.cli.console import out
        from glassmind.pipeline.answer import by_calculator

        speaker = self._conversation.speaker
        exact = by_calculator(text) if speaker.format == "question" else None
        if exact is not None:
            out().print(str(exact.text))
            self._note("computed exactly; no model was asked")
            return
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
            pass  # "stopped" is printed below
        finally:
            pieces.close()
        screen.print()
        if self._conversation.finish == "cancelled":
            self._note("stopped")
        elif self._conversation.finish == "length":
            self._note("cut off here; --max-tokens allows more")
        warning = speaker.warning(text)
        for doubt in ([warning] if warning else []) + list(self._findings(text)):
            self._note(f"✗ {doubt}")
        if self._show_logprobs:
            self._print_logprobs()

    def _findings(self, question: str) -> tuple[str, ...]:
        """The faults that exact checks find in the last reply."""
        from glassmind.grade import extract_answer
        from glassmind.grade.chain_checks import check_chain

        reply = self._conversation.turns[-1]["content"]
        reasoned = self._conversation.reasoning.splitlines()
        answer = extract_answer(reply) if reasoned else None  # without reasoning, reply has steps
        return check_chain(reasoned or reply.splitlines(), answer, question).findings(answer)

    def _print_logprobs(self) -> None:
        from rich.text import Text

        line = Text()
        if not self._conversation.scored:
            self._note("the server gives no log-probabilities")
        for spelling, logprob in self._conversation.scored:
            share = math.exp(logprob)
            style = "green" if share >= 0.5 else "yellow" if share >= 0.1 else "red"
            line.append(f"{spelling!r} {share:.0%}  ", style=style)
        self._screen.print(line)

    def _note(self, text: str) -> None:
        self._screen.print(text, style="dim")
