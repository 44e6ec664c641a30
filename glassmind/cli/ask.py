"""Answer a question, and show the steps, the votes and the scores.

    glassmind ask "Mia has 3 boxes of 12 pencils. She gives 5 away. How many pencils are left?"
    glassmind ask --model runs/demo -                 one question a line from standard input
    glassmind ask --model smollm2 "What is 12 times 7?"

Without --model, the small model that comes with the package answers. A model from elsewhere
(smollm2, a .gguf file, a Hugging Face folder) is talked to through its own chat template.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.pipeline.ask import Answer
    from glassmind.pipeline.ask_chat import Chat


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", help="the question, or - to read questions, one a line")
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="a run's folder, smollm2, a .gguf file, or a Hugging Face folder",
    )
    parser.add_argument(
        "--method",
        default="",
        metavar="NAME",
        help="how to answer, by default the best that the model allows (glassmind methods)",
    )
    parser.add_argument("--samples", type=int, metavar="K", help="how many chains vote")
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="0 takes the likeliest chain"
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        metavar="N",
        help="the longest answer (models from elsewhere: 256)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads to compute with")
    parser.add_argument("--chains", action="store_true", help="show every chain, not the best one")
    parser.add_argument("--json", action="store_true", help="one JSON object a question")


def run(args: argparse.Namespace) -> int:
    from glassmind.interop.load import is_pretrained

    for name, value in (("samples", args.samples), ("max-tokens", args.max_tokens)):
        if value is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}")
    if args.threads is not None:
        set_threads(args.threads)
    if args.method:
        refuse_idle_samples(args.method, args.samples)
    if args.model and is_pretrained(args.model):
        if args.method:
            raise UserError("--method is for models of runs; this one answers in free text")
        return _chat(args)
    refuse_misspelled(args.model)
    return _reason(args)


def refuse_misspelled(model: str | None) -> None:
    """Raise ``UserError`` for what is not there and looks like the name of a known model."""
    from glassmind.interop.shipped_packages import SHIPPED_MODELS

    if model and not Path(model).exists():
        close = difflib.get_close_matches(model[:40], SHIPPED_MODELS, n=1)
        if close:
            raise UserError(f"there is no model {model[:40]!r}; did you mean {close[0]}?")


def refuse_idle_samples(method: str, samples: int | None) -> None:
    """Raise ``UserError`` where there is no such method, or it has no use for ``--samples``."""
    from glassmind.reason import registry

    if samples is not None and not registry.named(method).scales:
        raise UserError(f"the method {method} does not take --samples: it has a number of its own")


def _reason(args: argparse.Namespace) -> int:
    """Ask a model of our own, which writes its steps between special tokens."""
    from glassmind.cli.console import print_json
    from glassmind.cli.jobs import chosen_sampling
    from glassmind.pipeline.ask import ask
    from glassmind.runs.models import load

    loaded = load(args.model) if args.model else load()
    sampling = chosen_sampling(args, loaded.recipe.sampling)
    if args.max_tokens is not None:
        sampling = replace(sampling, max_new_tokens=args.max_tokens)
    for question in _questions(args.question):
        answer = ask(question, loaded, method=args.method, sampling=sampling, seed=args.seed)
        if isinstance(answer, list):  # one question gives one answer; this tells the type checker
            raise TypeError("ask returned a list for one question")
        if args.json:
            print_json(_plain(answer))
        else:
            _show(answer, every_chain=args.chains)
    return 0


def _chat(args: argparse.Namespace) -> int:
    """Ask a model from elsewhere, which answers in free text."""
    from glassmind.cli.console import console, print_json
    from glassmind.cli.live import LiveProgress
    from glassmind.interop.load import load_pretrained
    from glassmind.pipeline.ask_chat import MAX_TOKENS, ask_chat

    questions = _questions(args.question)
    with console().status(f"loading {args.model} ..."):
        pretrained = load_pretrained(args.model)
    for question in questions:
        with LiveProgress() as progress:
            chat = ask_chat(
                question,
                pretrained,
                samples=args.samples or 1,
                temperature=args.temperature,
                max_tokens=args.max_tokens or MAX_TOKENS,
                seed=args.seed,
                progress=progress,
            )
        if args.json:
            print_json({**_plain(chat.answer), "replies": chat.replies})
        elif len(chat.replies) > 1:
            _show(chat.answer, every_chain=args.chains)
        else:
            _show_reply(chat)
        console().print(f"{chat.tokens_per_second:.1f} tokens/s", style="dim")
    return 0


def set_threads(threads: int) -> None:
    """Compute with so many threads."""
    import torch

    if threads < 1:
        raise UserError(f"--threads must be at least 1, not {threads}")
    torch.set_num_threads(threads)


def _questions(question: str) -> list[str]:
    if question != "-":
        return [question]
    try:
        lines = sys.stdin.buffer.read(2**24).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"standard input is not UTF-8 text: {error}") from None
    questions = [line for line in lines if line.strip()]
    if not questions:
        raise UserError("standard input holds no question: give one a line")
    return questions


def _show(answer: Answer, *, every_chain: bool) -> None:
    from rich.text import Text

    from glassmind.cli.console import console, out

    screen = out()
    if answer.warning:
        console().print(f"warning: {answer.warning}", style="yellow")
    screen.print(answer.question.strip(), style="bold")
    best = answer.best
    chains = answer.chains if every_chain else ((best,) if best else ())
    for chain in chains:
        title = f"chain {chain.sample + 1}" if every_chain else "steps"
        score = "" if chain.score is None else f", verifier {chain.score:.0%}"
        screen.print(f"  {title} (answer {chain.answer}{score})", style="dim")
        for number, step in enumerate(chain.steps, 1):
            line = Text(f"    {number}. {step}")
            if len(chain.step_scores) >= number:
                line.append(f"   {chain.step_scores[number - 1]:.0%}", style="cyan")
            screen.print(line)
    n = len(answer.chains)
    votes = ", ".join(f"{key}: {count} of {n}" for key, count in list(answer.votes.items())[:6])
    screen.print(f"  votes     {votes or 'none: no chain reached a number'}")
    if answer.weighted:
        shares = ", ".join(f"{k}: {w:.0%}" for k, w in list(answer.weighted.items())[:6])
        screen.print(f"  weighted  {shares} (by the verifier)")
    screen.print(
        f"  answer    {answer.text if answer.text is not None else '—'}", style="bold green"
    )


def _show_reply(chat: Chat) -> None:
    from glassmind.cli.console import console, out

    answer, screen = chat.answer, out()
    if answer.warning:
        console().print(f"warning: {answer.warning}", style="yellow")
    screen.print(answer.question.strip(), style="bold")
    screen.print(chat.replies[0] or "(nothing)")
    chain = answer.chains[0]
    if chain.finish == "length":
        console().print(
            f"cut off after {len(chain.token_ids)} tokens; --max-tokens allows more", style="dim"
        )


def _plain(answer: Answer) -> dict[str, object]:
    from glassmind.serialization import encode

    return {
        "question": answer.question,
        "answer": answer.text,
        "method": answer.method,
        "cost": encode(answer.cost),
        "warning": answer.warning,
        "votes": answer.votes,
        "weighted": answer.weighted,
        "chains": [
            {
                "steps": list(chain.steps),
                "step_scores": list(chain.step_scores),
                "answer": chain.answer,
                "score": chain.score,
                "logprob": chain.logprob,
            }
            for chain in answer.chains
        ],
    }
